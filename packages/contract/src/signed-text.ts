// Checked by the CLI offline and by anybody else: no library, WebCrypto only.

/** Whether an Ed25519 signature over a text is of the key; both in base64. */
export async function isSignedBy(text: string, publicKey: string, signature: string): Promise<boolean> {
  try {
    const key = await crypto.subtle.importKey('raw', fromBase64(publicKey), 'Ed25519', false, ['verify'])
    return await crypto.subtle.verify('Ed25519', key, fromBase64(signature), new TextEncoder().encode(text))
  } catch {
    // A key or signature of the wrong length is as good as none.
    return false
  }
}

function fromBase64(text: string): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(atob(text), (character) => character.charCodeAt(0))
}
