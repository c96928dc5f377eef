import { connect, createServer, type Socket } from 'node:net'

export interface Balancer {
  /** Where the next connections go, by turns; a port that takes none is passed over. */
  ports: number[]
  /** Connections that are open to a port. */
  open(port: number): number
  close(): Promise<void>
}

/** Spreads connections over servers as they come, knowing nothing of what they carry. */
export async function balance(port: number, ports: number[]): Promise<Balancer> {
  const sockets = new Set<Socket>()
  const carried = new Map<number, number>()
  const count = (to: number, change: number): void => {
    carried.set(to, (carried.get(to) ?? 0) + change)
  }
  let turn = 0
  const balancer: Balancer = {
    ports,
    open: (to) => carried.get(to) ?? 0,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        for (const socket of sockets) socket.destroy()
      }),
  }
  const server = createServer({ pauseOnConnect: true, allowHalfOpen: true }, (front) => {
    sockets.add(front)
    front.once('close', () => sockets.delete(front))
    front.on('error', () => {})
    const reach = (tries: number): void => {
      turn += 1
      const to = balancer.ports[turn % balancer.ports.length] ?? 0
      const back = connect({ port: to, host: '127.0.0.1', allowHalfOpen: true })
      back.once('connect', () => {
        count(to, 1)
        back.removeAllListeners('error')
        back.on('error', () => front.destroy())
        back.once('close', () => {
          count(to, -1)
          front.destroy()
        })
        front.once('close', () => back.destroy())
        front.pipe(back).pipe(front)
      })
      back.once('error', () => (tries > 1 ? reach(tries - 1) : front.destroy()))
    }
    reach(balancer.ports.length)
  })
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve))
  return balancer
}
