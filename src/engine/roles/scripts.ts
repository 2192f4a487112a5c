/**
 * The scripts of the processes: each main with everything that it imports in one file, which the build
 * makes beside it. A broker loads 160 modules otherwise, in five times the time (`scripts/build.mjs`).
 */
const bundled = (name: string) => new URL(`./${name}.bundle.js`, import.meta.url)

export const roleScripts = {
  supervisor: bundled('supervisor'),
  nameserver: bundled('nameserver'),
  broker: bundled('broker'),
} as const
