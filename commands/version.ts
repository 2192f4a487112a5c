import { MqctlCommand } from '../src/cli/command.ts'

export interface VersionResult {
  readonly version: string
  readonly node: string
  readonly platform: string
  readonly arch: string
}

export default class Version extends MqctlCommand<VersionResult> {
  static override summary = 'Version of mqctl and of what it runs on.'
  static override examples = ['<%= config.bin %> version', '<%= config.bin %> version --json']

  async run(): Promise<VersionResult> {
    await this.parse(Version)
    const result = {
      version: this.config.version,
      node: process.versions.node,
      platform: process.platform,
      arch: process.arch,
    }
    return this.show(result, {
      text: ({ version, node, platform, arch }) =>
        `mqctl ${version} (Node ${node}, ${platform} ${arch})`,
    })
  }
}
