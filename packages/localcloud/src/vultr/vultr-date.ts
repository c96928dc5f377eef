/** Vultr writes moments without fractions and with a numeric offset. */
export function vultrDate(at: number): string {
  return new Date(at).toISOString().replace(/\.\d{3}Z$/, '+00:00')
}
