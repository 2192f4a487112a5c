import path from 'node:path'
import { MqctlCommand } from '../src/cli/command.ts'
import { argument } from '../src/cli/flags.ts'
import { type Recipe, recipeNamed, recipesIn } from '../src/cli/recipes.ts'

interface CheatSheet {
  readonly recipes: readonly Recipe[]
}

export default class Cheat extends MqctlCommand<CheatSheet> {
  static override summary =
    'What messages can do, in a few lines each: order, transactions, delay, replay …'
  static override args = {
    recipe: argument({ description: 'One of them, with all that is to know about it.' }),
  }
  static override examples = ['<%= config.bin %> cheat', '<%= config.bin %> cheat order-workflow']

  async run(): Promise<CheatSheet> {
    const { args } = await this.parse(Cheat)
    const all = recipesIn(path.join(this.config.root, 'docs', 'recipes'))
    const recipes = args.recipe === undefined ? all : [recipeNamed(all, args.recipe)]
    return this.show(
      { recipes },
      {
        rows: () => recipes.map(({ name, title }) => ({ name, title })),
        text: (_, terminal) =>
          args.recipe === undefined
            ? recipes
                .map(({ name, title, commands }) =>
                  [
                    `${terminal.out.bold(title)}  ${terminal.out.dim(`mqctl cheat ${name}`)}`,
                    ...commands.map((line) => `  ${line}`),
                  ].join('\n'),
                )
                .join('\n\n')
            : (recipes[0]?.text.trimEnd() ?? ''),
      },
    )
  }
}
