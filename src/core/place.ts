/** Where an address is. What is not known is absent. */
export interface Place {
  /** ISO 3166-1 alpha-2. */
  readonly country?: string
  readonly asn?: number
  readonly asOrganization?: string
  readonly city?: string
  /** ISO 3166-2, without the country. */
  readonly region?: string
  readonly postalCode?: string
  readonly latitude?: number
  readonly longitude?: number
  readonly metroCode?: number
  /** IANA name. */
  readonly timezone?: string
}
