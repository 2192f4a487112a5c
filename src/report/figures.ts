/** Numbers as a report shows them: grouped digits, three figures that matter, units beside them. */

/** `182,340`: whole, grouped by thousands. */
export function grouped(value: number): string {
  return Math.round(value)
    .toString()
    .replace(/\B(?=(\d{3})+(?!\d))/g, ',')
}

/** Milliseconds with three figures: `0.842`, `12.3`, `1,204`; `-` for none. */
export function milliseconds(value: number | null): string {
  if (value === null) return '-'
  if (value >= 1000) return grouped(value)
  if (value >= 100) return value.toFixed(0)
  if (value >= 10) return value.toFixed(1)
  return value >= 1 ? value.toFixed(2) : value.toFixed(3)
}

/** `85.3 MB/s`, in units of 1,000, as links and disks are sold. */
export function bytesPerSecond(value: number): string {
  return `${decimalBytes(value)}/s`
}

/** `1.21 GB`. */
export function decimalBytes(value: number): string {
  const units = ['B', 'kB', 'MB', 'GB', 'TB']
  let rest = value
  let unit = 0
  while (rest >= 1000 && unit < units.length - 1) {
    rest /= 1000
    unit += 1
  }
  const text =
    unit === 0 || rest >= 100 ? rest.toFixed(0) : rest >= 10 ? rest.toFixed(1) : rest.toFixed(2)
  return `${text} ${units[unit] ?? ''}`
}

/** `98 %`; one decimal below ten. */
export function percent(share: number): string {
  const value = share * 100
  return `${value >= 10 || value === 0 ? value.toFixed(0) : value.toFixed(1)} %`
}

/** Cores with two decimals; `-` for none. */
export function cores(value: number | null): string {
  return value === null ? '-' : value.toFixed(2)
}
