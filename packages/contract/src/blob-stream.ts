/**
 * Many blobs in one body, both from the CLI to the server and from the server to a machine: for each blob
 * 32 bytes of SHA-256, 8 bytes of length (big endian), then its bytes. The end of the body is the end of the list.
 */
export const BLOB_STREAM_MEDIA_TYPE = 'application/vnd.agentctl.blobs'
export const BLOB_HEADER_BYTES = 40
