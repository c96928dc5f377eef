/** What takes away everything that an account has. */
export const ERASURE_KIND = 'erase-account'
