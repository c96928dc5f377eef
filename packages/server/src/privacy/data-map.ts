import columns from './data-map.json' with { type: 'json' }

/** What is kept, column by column, as it was published with this version; made from the comments of the columns. */
export interface MappedColumn {
  table: string
  column: string
  class: string
  purposes: string[]
  retention: string
  export: string
  erase: string
}

export const dataMap: readonly MappedColumn[] = columns
