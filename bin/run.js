#!/usr/bin/env node
// The shipped entry. oclif looks for TypeScript loaders unless this says production.
process.env.NODE_ENV = 'production'

const { main } = await import('../dist/src/cli/main.js')
await main(process.argv.slice(2))
