/** Charts as inline SVG: no script, no style of their own, colours by class. Pure. */
import { type Html, html, nothing } from './html-text.ts'

export interface Line {
  readonly name: string
  /** By point; null where there is no value. */
  readonly values: readonly (number | null)[]
}

export interface Band {
  readonly from: number
  readonly to: number
  readonly name: string
}

export interface ChartOptions {
  readonly title: string
  /** How a value of the y axis is written. */
  readonly format: (value: number) => string
  readonly lines: readonly Line[]
  /** Positions of the points on the x axis. */
  readonly xs: readonly number[]
  readonly xMin: number
  readonly xMax: number
  readonly xTicks: readonly (readonly [at: number, label: string])[]
  /** Stretches of the x axis with a name, such as phases. */
  readonly bands?: readonly Band[]
  /** The y axis in powers of ten. */
  readonly log?: boolean
  /** Points without lines between them. */
  readonly dots?: boolean
  /** Upper end of the y axis that must be shown. */
  readonly yMax?: number
}

const WIDTH = 960
const HEIGHT = 170
const LEFT = 76
const RIGHT = 12
const TOP = 18
const BOTTOM = 24

/** Empty when no line has a value. */
export function chart(options: ChartOptions): Html {
  const { title, lines, xs, xMin, xMax, bands = [], log = false } = options
  const known = lines.filter(({ values }) => values.some((value) => value !== null))
  const values = known.flatMap((line) => line.values.filter((value) => value !== null))
  if (values.length === 0) return nothing
  const span = Math.max(xMax - xMin, 1e-9)
  const x = (at: number) => LEFT + ((at - xMin) / span) * (WIDTH - LEFT - RIGHT)
  const scale = log ? logScale(values) : linearScale(Math.max(...values, options.yMax ?? 0))
  const y = (value: number) => TOP + (1 - scale.at(value)) * (HEIGHT - TOP - BOTTOM)
  const grid = scale.ticks.map(
    (tick) =>
      html`<line
          class="grid"
          x1="${LEFT}"
          x2="${WIDTH - RIGHT}"
          y1="${round(y(tick))}"
          y2="${round(y(tick))}"
        /><text class="tick" x="${LEFT - 6}" y="${round(y(tick) + 4)}" text-anchor="end"
          >${options.format(tick)}</text
        >`,
  )
  const ticks = options.xTicks.map(
    ([at, label]) =>
      html`<text class="tick" x="${round(x(at))}" y="${HEIGHT - 6}" text-anchor="middle"
        >${label}</text
      >`,
  )
  const stretches = bands.map(({ from, to, name }, index) => bandOf(x(from), x(to), name, index))
  const drawn = known.map((line, index) =>
    options.dots === true
      ? dotsOf(line, index, xs, x, y)
      : html`<path class="line s${index}" d="${pathOf(line.values, xs, x, y)}"
          ><title>${line.name}</title></path
        >`,
  )
  const legend = known.map(({ name }, index) => html`<span class="key k${index}">${name}</span>`)
  return html`<figure>
    <figcaption><b>${title}</b> ${legend}</figcaption>
    <svg viewBox="0 0 ${WIDTH} ${HEIGHT}" role="img" aria-label="${title}">
      ${stretches}${grid}${ticks}${drawn}
    </svg>
  </figure>`
}

function bandOf(from: number, to: number, name: string, index: number): Html {
  const width = Math.max(0, to - from)
  // A name that would run into the next one is left out.
  const label =
    width > name.length * 7
      ? html`<text class="band" x="${round(from + 4)}" y="12">${name}</text>`
      : nothing
  return html`<rect
      class="b${index % 2}"
      x="${round(from)}"
      y="0"
      width="${round(width)}"
      height="${HEIGHT - BOTTOM}"
      ><title>${name}</title></rect
    >${label}`
}

function dotsOf(
  { values, name }: Line,
  index: number,
  xs: readonly number[],
  x: (at: number) => number,
  y: (value: number) => number,
): Html {
  return {
    markup: values
      .map((value, at) =>
        value === null
          ? ''
          : html`<circle
              class="dot s${index}"
              cx="${round(x(xs[at] ?? 0))}"
              cy="${round(y(value))}"
              r="4"
              ><title>${name}</title></circle
            >`.markup,
      )
      .join(''),
  }
}

/** A line that breaks where there is no value. */
function pathOf(
  values: readonly (number | null)[],
  xs: readonly number[],
  x: (at: number) => number,
  y: (value: number) => number,
): string {
  let path = ''
  let isDown = false
  for (const [index, value] of values.entries()) {
    if (value === null) {
      isDown = false
      continue
    }
    const point = `${round(x(xs[index] ?? 0))} ${round(y(value))}`
    // A point alone is shown as a short stroke, long enough to be seen.
    const isAlone = !isDown && (values[index + 1] ?? null) === null
    path += isDown ? `L${point}` : isAlone ? `M${point}m-3 0h6` : `M${point}`
    isDown = true
  }
  return path
}

interface Scale {
  readonly ticks: readonly number[]
  /** 0 at the bottom, 1 at the top. */
  at(value: number): number
}

function linearScale(most: number): Scale {
  const top = most > 0 ? most : 1
  const rough = top / 3
  const power = 10 ** Math.floor(Math.log10(rough))
  const step = ([1, 2, 5, 10].find((factor) => factor * power >= rough) ?? 10) * power
  const end = Math.ceil(top / step - 1e-9) * step
  const ticks: number[] = []
  for (let tick = 0; tick <= end + step / 2; tick += step) ticks.push(tick)
  return { ticks, at: (value) => value / end }
}

function logScale(values: readonly number[]): Scale {
  const positive = values.filter((value) => value > 0)
  const low = Math.floor(Math.log10(Math.min(...positive, 1e9)))
  const high = Math.max(low + 1, Math.ceil(Math.log10(Math.max(...positive, 1e-9)) - 1e-9))
  const ticks = Array.from({ length: high - low + 1 }, (_, index) => 10 ** (low + index))
  const at = (value: number) =>
    value <= 0 ? 0 : Math.max(0, (Math.log10(value) - low) / (high - low))
  return { ticks, at }
}

function round(value: number): number {
  return Math.round(value * 10) / 10
}

/** Round numbers of seconds, at most about ten of them. */
export function secondTicks(seconds: number): (readonly [at: number, label: string])[] {
  const steps = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14_400]
  const step = steps.find((one) => seconds / one <= 10) ?? 28_800
  const ticks: (readonly [number, string])[] = []
  for (let at = 0; at <= seconds; at += step) {
    ticks.push([at, step >= 60 ? `${at / 60} min` : `${at} s`])
  }
  return ticks
}
