/** The shapes of the public suite (github.com/http-tests/cache-tests), as far as they are changed or read here. */

/** Name, value (a number is a date relative to now, in seconds), and whether the client checks that it arrives. */
export type SuiteHeader = string | [string, string | number] | [string, string | number, boolean | string | number]

export interface SuiteRequest {
  request_method?: string
  request_headers?: [string, string | number][]
  response_status?: [number, string]
  response_headers?: SuiteHeader[]
  response_pause?: number
  interim_responses?: Interim[]
  setup?: boolean
  pause_after?: boolean
  disconnect?: boolean
  check_body?: boolean
  expected_type?: 'cached' | 'not_cached' | 'etag_validated' | 'lm_validated'
  expected_status?: number
  expected_response_headers?: SuiteHeader[]
  expected_response_headers_missing?: string[]
  expected_interim_responses?: Interim[]
}

/** Status and fields of an interim answer. */
export type Interim = [number] | [number, [string, string][]]

/** `required` unless it says otherwise. */
export type SuiteKind = 'required' | 'optimal' | 'check'

export interface SuiteTest {
  readonly id: string
  name: string
  kind?: SuiteKind
  depends_on?: string[]
  browser_only?: boolean
  readonly requests: SuiteRequest[]
}

export interface SuiteGroup {
  readonly id: string
  readonly name: string
  tests: SuiteTest[]
}
