import { createPrivateKey, type KeyObject, randomBytes, webcrypto } from 'node:crypto'
import { join } from 'node:path'
import type * as X509 from '@peculiar/x509'
import { keepFile, readKeptFile } from '../kept-file.ts'

/** The only authority that vouches for names of the local cloud. Programs trust it when they are told its file. */
export interface CertificateAuthority {
  /** Its certificate in PEM. */
  certificateFile: string
  issue(names: readonly string[], validity: { from: Date; to: Date; serialNumber: string }): Promise<Issued>
}

export interface Issued {
  /** In PEM, the authority's own behind it. */
  certificate: string
  privateKey: string
}

interface Kept {
  certificate: string
  privateKey: string
}

const ALGORITHM = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const
const NAME = 'O=agentctl local cloud, CN=agentctl local cloud edge'
const YEAR_MS = 365 * 86_400_000

/** The authority of this folder, made at the first start. */
export async function openCertificateAuthority(folder: string): Promise<CertificateAuthority> {
  const file = join(folder, 'authority.json')
  const keptText = readKeptFile(file)
  const kept: Kept = keptText === undefined ? await make() : JSON.parse(keptText)
  if (keptText === undefined) keepFile(file, JSON.stringify(kept))
  const certificateFile = join(folder, 'authority.pem')
  keepFile(certificateFile, kept.certificate)
  const key = await importKey(createPrivateKey(kept.privateKey))
  return {
    certificateFile,
    async issue(names, { from, to, serialNumber }) {
      const x509 = await library()
      const keys = await generateKeys()
      const authority = new x509.X509Certificate(kept.certificate)
      const certificate = await x509.X509CertificateGenerator.create({
        serialNumber,
        issuer: authority.subject,
        subject: [{ CN: [names[0] ?? ''] }],
        notBefore: from,
        notAfter: to,
        publicKey: keys.publicKey,
        signingKey: key,
        signingAlgorithm: ALGORITHM,
        extensions: [
          new x509.BasicConstraintsExtension(false, undefined, true),
          new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
          new x509.ExtendedKeyUsageExtension([x509.ExtendedKeyUsage.serverAuth]),
          new x509.SubjectAlternativeNameExtension(names.map((value) => ({ type: 'dns', value }))),
          await x509.AuthorityKeyIdentifierExtension.create(authority),
        ],
      })
      return {
        certificate: `${certificate.toString('pem')}\n${kept.certificate}`,
        privateKey: await exportKey(keys.privateKey),
      }
    },
  }
}

async function make(): Promise<Kept> {
  const x509 = await library()
  const keys = await generateKeys()
  const now = Date.now()
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    serialNumber: randomBytes(16).toString('hex').replace(/^./, '1'),
    name: NAME,
    notBefore: new Date(now - YEAR_MS),
    notAfter: new Date(now + 10 * YEAR_MS),
    keys,
    signingAlgorithm: ALGORITHM,
    extensions: [
      new x509.BasicConstraintsExtension(true, 0, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true),
      await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
    ],
  })
  return { certificate: certificate.toString('pem'), privateKey: await exportKey(keys.privateKey) }
}

/** Loaded when a certificate is made: it takes its time, and most starts make none. */
async function library(): Promise<typeof X509> {
  // The library looks for its types' marks there, and says so when it is not loaded first.
  await import('reflect-metadata')
  return import('@peculiar/x509')
}

function generateKeys(): Promise<webcrypto.CryptoKeyPair> {
  return webcrypto.subtle.generateKey(ALGORITHM, true, ['sign', 'verify'])
}

async function exportKey(key: webcrypto.CryptoKey): Promise<string> {
  const der = Buffer.from(await webcrypto.subtle.exportKey('pkcs8', key))
  return String(
    createPrivateKey({ key: der, format: 'der', type: 'pkcs8' }).export({ format: 'pem', type: 'pkcs8' }),
  )
}

function importKey(key: KeyObject): Promise<webcrypto.CryptoKey> {
  const der = key.export({ format: 'der', type: 'pkcs8' })
  return webcrypto.subtle.importKey('pkcs8', der, ALGORITHM, true, ['sign'])
}
