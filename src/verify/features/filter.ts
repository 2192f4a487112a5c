/**
 * Readers that want some of the messages: by one tag, by several, by expressions over properties; some
 * fail once, since what comes again is filtered as well. `Aa` and `BB` have one hash in Java: a broker
 * that filters by hashes cannot tell them apart.
 */
import { lot } from '../lot.ts'
import type { FeatureSetup, ReaderSetup, SetupInput } from './setup.ts'

const TAGS = ['red', 'blue', 'Aa', 'BB'] as const
const REGIONS = ['eu', 'us', 'asia'] as const
const FAIL_SHARE = 0.02
const RETRIES_MAX = 3

interface Traits {
  readonly tag: string
  readonly region: string
  readonly price: number
}

/** Each with what it means, said independently of the expression. */
const filters: readonly (Pick<ReaderSetup, 'tags' | 'sql'> & {
  readonly name: string
  readonly wants: (traits: Traits) => boolean
})[] = [
  { name: 'all', tags: '*', wants: () => true },
  { name: 'tag', tags: 'Aa', wants: ({ tag }) => tag === 'Aa' },
  { name: 'tags', tags: 'red || BB', wants: ({ tag }) => tag === 'red' || tag === 'BB' },
  {
    name: 'sql',
    sql: "price > 50 AND region = 'eu'",
    wants: ({ price, region }) => price > 50 && region === 'eu',
  },
  {
    name: 'range',
    sql: "TAGS IN ('blue', 'BB') AND price NOT BETWEEN 20 AND 80 AND region IS NOT NULL",
    wants: ({ tag, price }) => (tag === 'blue' || tag === 'BB') && (price < 20 || price > 80),
  },
]

export function filterSetup({ seed, prefix }: SetupInput): FeatureSetup {
  const pick = <T>(of: readonly [T, ...T[]], value: string, question: string): T =>
    of[Math.floor(lot(seed, value, question) * of.length)] ?? of[0]
  const traitsOf = (value: string): Traits => ({
    tag: pick(TAGS, value, 'tag'),
    region: pick(REGIONS, value, 'region'),
    price: Math.floor(lot(seed, value, 'price') * 101),
  })
  const nameOf = (name: string) => `${prefix}-${name}`
  return {
    readers: filters.map(({ name, tags, sql }) => ({
      reader: nameOf(name),
      group: nameOf(name),
      ...(tags === undefined ? {} : { tags }),
      ...(sql === undefined ? {} : { sql }),
      fails: (value, tries) => tries === 0 && lot(seed, value, `fails ${name}`) < FAIL_SHARE,
    })),
    ordered: false,
    broadcast: false,
    retriesMax: RETRIES_MAX,
    shape: (value) => {
      const traits = traitsOf(value)
      return {
        tags: traits.tag,
        properties: { region: traits.region, price: String(traits.price) },
        to: filters.filter(({ wants }) => wants(traits)).map(({ name }) => nameOf(name)),
      }
    },
  }
}
