/** The whole life of a domain, from the wish to its end. */
export const DOMAIN_KIND = 'domain'
