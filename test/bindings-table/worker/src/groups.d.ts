/** Cases as they are written in this folder's JavaScript. */
export interface Case {
  readonly members: string
  readonly state: 'works' | 'works differently' | 'refused'
  readonly note?: string
}

export const groups: Readonly<Record<string, readonly Case[]>>
