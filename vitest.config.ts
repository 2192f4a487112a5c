import { defineConfig } from 'vitest/config'

const node = {
  environment: 'node' as const,
  pool: 'forks' as const,
  // A busy machine is slow, not wrong: only what never happens fails.
  expect: { poll: { timeout: 10_000 } },
}

export default defineConfig({
  test: {
    projects: [
      {
        test: {
          ...node,
          name: 'unit',
          include: ['test/**/*.test.ts'],
          exclude: ['test/{cli,sim,interop,faults,fuzz}/**', 'test/house.test.ts'],
          testTimeout: 20_000,
        },
      },
      { test: { ...node, name: 'house', include: ['test/house.test.ts'] } },
      {
        test: {
          ...node,
          name: 'cli',
          include: ['test/cli/**/*.test.ts'],
          testTimeout: 60_000,
          hookTimeout: 60_000,
        },
      },
      {
        test: { ...node, name: 'sim', include: ['test/sim/**/*.test.ts'], testTimeout: 600_000 },
      },
      {
        test: {
          ...node,
          name: 'interop',
          include: ['test/interop/**/*.test.ts'],
          testTimeout: 180_000,
          hookTimeout: 400_000,
          fileParallelism: false,
        },
      },
      {
        test: {
          ...node,
          name: 'faults',
          include: ['test/faults/**/*.test.ts'],
          testTimeout: 600_000,
          hookTimeout: 120_000,
          fileParallelism: false,
        },
      },
      {
        test: { ...node, name: 'fuzz', include: ['test/fuzz/**/*.test.ts'], testTimeout: 600_000 },
      },
    ],
  },
})
