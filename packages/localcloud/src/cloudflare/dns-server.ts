import { createSocket, type Socket as UdpSocket } from 'node:dgram'
import { once } from 'node:events'
import { createServer, type Server, type Socket } from 'node:net'
import { type DecodedPacket, decode, encode, type Packet, streamEncode } from 'dns-packet'
import type { DnsAnswer } from './dns-answers.ts'

export type DnsTrouble = 'servfail' | 'timeout' | 'nxdomain' | 'refused'

export interface DnsServer {
  /** Of 127.0.0.1, for UDP and TCP. */
  port: number
  close(): Promise<void>
}

interface DnsSource {
  answer(name: string, type: string): DnsAnswer
  /** What goes wrong with a question about this name at this moment. */
  trouble(name: string, type: string): DnsTrouble | undefined
}

const UDP_BYTES = 512
const AUTHORITATIVE_AND_RECURSIVE = 0x0400 | 0x0080
const RECURSION_DESIRED = 0x0100
const TRUNCATED = 0x0200
const RCODES = { NOERROR: 0, FORMERR: 1, SERVFAIL: 2, NXDOMAIN: 3, NOTIMP: 4, REFUSED: 5 }
const TCP_IDLE_MS = 10_000

/** A DNS server on loopback: at the preferred port when it is free for both, else at any. */
export async function startDnsServer(source: DnsSource, preferred: number): Promise<DnsServer> {
  for (let attempt = 0; ; attempt++) {
    try {
      return await listen(source, attempt === 0 ? preferred : 0)
    } catch (error) {
      const isTaken = error instanceof Error && 'code' in error && error.code === 'EADDRINUSE'
      if (!isTaken || attempt === 10) throw error
    }
  }
}

async function listen(source: DnsSource, preferred: number): Promise<DnsServer> {
  const connections = new Set<Socket>()
  const tcp = createServer((socket) => {
    connections.add(socket)
    socket.once('close', () => connections.delete(socket))
    serveConnection(source, socket)
  })
  tcp.listen({ host: '127.0.0.1', port: preferred })
  await once(tcp, 'listening')
  const port = portOf(tcp)
  const udp = createSocket('udp4')
  try {
    udp.bind({ address: '127.0.0.1', port, exclusive: true })
    await once(udp, 'listening')
  } catch (error) {
    tcp.close()
    throw error
  }
  serveDatagrams(source, udp)
  return {
    port,
    async close() {
      for (const socket of connections) socket.destroy()
      await Promise.all([
        new Promise<void>((resolve) => tcp.close(() => resolve())),
        new Promise<void>((resolve) => udp.close(resolve)),
      ])
    },
  }
}

function portOf(server: Server): number {
  const address = server.address()
  if (typeof address !== 'object' || !address) throw new Error('The DNS server has no address.')
  return address.port
}

function serveDatagrams(source: DnsSource, udp: UdpSocket): void {
  udp.on('message', (message, { address, port }) => {
    const answer = respond(source, () => decode(message))
    if (!answer) return
    const bytes = encode(answer.packet)
    const fits = bytes.length <= answer.roomBytes
    udp.send(fits ? bytes : encode(truncated(answer.packet)), port, address)
  })
  // Whoever asked may be gone by the time of the answer.
  udp.on('error', () => {})
}

function serveConnection(source: DnsSource, socket: Socket): void {
  let received = Buffer.alloc(0)
  socket.setTimeout(TCP_IDLE_MS, () => socket.destroy())
  socket.on('error', () => socket.destroy())
  socket.on('data', (chunk) => {
    received = Buffer.concat([received, chunk])
    while (received.length >= 2 && received.length >= 2 + received.readUInt16BE(0)) {
      const end = 2 + received.readUInt16BE(0)
      const message = received.subarray(0, end)
      received = received.subarray(end)
      const answer = respond(source, () => decode(message.subarray(2)))
      if (answer) socket.write(streamEncode(answer.packet))
    }
  })
}

/** Undefined: nothing is answered. */
function respond(
  source: DnsSource,
  read: () => DecodedPacket,
): { packet: Packet; roomBytes: number } | undefined {
  let query: DecodedPacket
  try {
    query = read()
  } catch {
    return undefined
  }
  const [question] = query.questions ?? []
  if (query.type !== 'query' || !question) return undefined
  const extension = query.additionals?.find((one) => one.type === 'OPT')
  const roomBytes = Math.max(UDP_BYTES, extension?.type === 'OPT' ? extension.udpPayloadSize : 0)
  const flags = AUTHORITATIVE_AND_RECURSIVE | ((query.flags ?? 0) & RECURSION_DESIRED)
  const reply = (rcode: keyof typeof RCODES, more: Packet = {}): { packet: Packet; roomBytes: number } => ({
    packet: {
      type: 'response',
      ...(query.id === undefined ? {} : { id: query.id }),
      flags: flags | RCODES[rcode],
      questions: [question],
      ...more,
    },
    roomBytes,
  })
  const { name, type } = question
  switch (source.trouble(name, type)) {
    case 'timeout':
      return undefined
    case 'servfail':
      return reply('SERVFAIL')
    case 'refused':
      return reply('REFUSED')
    case 'nxdomain':
      return reply('NXDOMAIN')
    case undefined: {
      const { rcode, answers, authorities } = source.answer(name, type)
      return reply(rcode, { answers, authorities })
    }
  }
}

/** Says that there is more, so that it is asked for over TCP. */
function truncated({ id, type, flags, questions }: Packet): Packet {
  return {
    ...(id === undefined ? {} : { id }),
    ...(type === undefined ? {} : { type }),
    ...(questions === undefined ? {} : { questions }),
    flags: (flags ?? 0) | TRUNCATED,
  }
}
