import { MqctlCommand } from '../../src/cli/command.ts'
import { argument } from '../../src/cli/flags.ts'
import { type DecodedId, decodeId, idFacts } from '../../src/cli/id-view.ts'
import { renderFacts } from '../../src/cli/table.ts'

export default class MessageDecode extends MqctlCommand<DecodedId> {
  static override summary = 'What is written in a message id or a recall handle; asks no broker.'
  static override description =
    'A unique id (MESSAGE ID) tells the sender’s address, process and time; an offset message id tells the ' +
    'broker’s address and the place in its log. The time in a unique id counts from the start of a month, so an ' +
    'old one names a moment of this month or the last.'
  static override args = {
    id: argument({ description: 'The id, or a recall handle.', required: true }),
  }
  static override examples = [
    '<%= config.bin %> message decode 7F0000010A2B18B4AAC2000000000000',
    '<%= config.bin %> message decode 7F00000100002A9F0000000000001234 --json',
  ]

  async run(): Promise<DecodedId> {
    const { args } = await this.parse(MessageDecode)
    const { id } = args
    const result = decodeId(id, this.world.clock.wallMs())
    return this.show(result, {
      text: (_, terminal) => renderFacts(terminal, idFacts(result)),
    })
  }
}
