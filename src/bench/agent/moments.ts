/** Orders and reports with their moments moved from one host's clock to another's. Pure. */
import type { FromRole, ToRole } from '../role-messages.ts'
import type { Segment } from '../load-program.ts'

/** @param aheadNs what the reader's clock is ahead, nanoseconds */
export function orderAhead(order: ToRole, aheadNs: number): ToRole {
  switch (order.kind) {
    case 'start':
      return {
        ...order,
        gridNs: order.gridNs + aheadNs,
        segments: segmentsAhead(order.segments, aheadNs),
      }
    case 'extend':
      return { ...order, segments: segmentsAhead(order.segments, aheadNs) }
    case 'setup':
    case 'clocks':
    case 'halt':
    case 'poll':
    case 'finish':
    case 'alive':
      return order
  }
}

/** @param aheadNs what the reader's clock is ahead, nanoseconds */
export function reportAhead(report: FromRole, aheadNs: number): FromRole {
  switch (report.kind) {
    case 'producer-tick':
      return { ...report, atNs: report.atNs + aheadNs }
    case 'consumer-tick':
      return {
        ...report,
        atNs: report.atNs + aheadNs,
        lanes: report.lanes.map(
          ([lane, position, endOffset, lastSentNs]) =>
            // 0 stands for never.
            [lane, position, endOffset, lastSentNs === 0 ? 0 : lastSentNs + aheadNs] as const,
        ),
      }
    case 'producer-report':
      return { ...report, haltedAtNs: report.haltedAtNs + aheadNs }
    case 'consumer-report':
    case 'ready':
    case 'listening':
    case 'failed':
      return report
  }
}

function segmentsAhead(segments: readonly Segment[], aheadNs: number): Segment[] {
  return segments.map((segment) => ({
    ...segment,
    startNs: segment.startNs + aheadNs,
    endNs: segment.endNs + aheadNs,
  }))
}
