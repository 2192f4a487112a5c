/** A batch that says what its senders may not say. */
import { type BatchItem, type BatchReader, encodeBatch } from '../../protocol/batch-body.ts'
import { RecordParts } from '../../protocol/record.ts'
import { withoutProperties } from '../delay/delayed-message.ts'

/** The batch once more without the named properties; `batch` has read it to its end without a fault. */
export function batchWithout(
  names: ReadonlySet<string>,
  batch: BatchReader,
  bytes: Buffer,
  start: number,
  end: number,
): Buffer {
  const items: BatchItem[] = []
  const parts = new RecordParts()
  parts.properties = bytes
  batch.open(bytes, start, end)
  while (batch.next()) {
    parts.propertiesStart = batch.propertiesStart
    parts.propertiesEnd = batch.propertiesEnd
    items.push({
      flag: batch.flag,
      body: bytes.subarray(batch.bodyStart, batch.bodyEnd),
      properties: Buffer.from(withoutProperties(parts, names), 'latin1'),
    })
  }
  return encodeBatch(items)
}
