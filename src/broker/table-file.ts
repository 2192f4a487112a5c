/** Where a table of the broker is kept between two lives of the process. */
export interface TableFile {
  /** The last content that was saved whole; null when there is none. */
  load(): Promise<Buffer | null>
  /** Replaces the content. Resolves once it is on the disk; the old content survives any failure. */
  save(content: Buffer): Promise<void>
}
