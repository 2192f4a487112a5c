/**
 * Completion scripts for bash, zsh and fish, made from the command manifest. Names of topics, groups
 * and instances come from the hidden command `complete`, which asks what runs and stays silent when
 * nobody answers.
 */
import type { Command } from '@oclif/core'

export const shells = ['bash', 'zsh', 'fish'] as const
export type Shell = (typeof shells)[number]

interface Entry {
  /** `topic list` */
  readonly words: string
  readonly summary: string
  readonly flags: readonly FlagEntry[]
  /** What the first argument is, when names can be asked for. */
  readonly subject: 'topics' | 'groups' | 'instances' | null
}

interface FlagEntry {
  readonly name: string
  readonly char: string | null
  readonly summary: string
  readonly takesValue: boolean
  readonly values: readonly string[]
}

/** `topics` describe the first words of commands with two. */
export function completionScript(
  shell: Shell,
  commands: readonly Command.Loadable[],
  topics: readonly { readonly name: string; readonly description?: string | undefined }[],
): string {
  const entries = commands
    .filter((command) => command.hidden !== true)
    .map(entryOf)
    .sort((one, other) => one.words.localeCompare(other.words))
  const summaries = new Map(topics.map(({ name, description }) => [name, description ?? '']))
  for (const { words, summary } of entries) summaries.set(words, summary)
  switch (shell) {
    case 'bash':
      return bash(entries)
    case 'zsh':
      return zsh(entries, summaries)
    case 'fish':
      return fish(entries, summaries)
  }
}

function entryOf(command: Command.Loadable): Entry {
  return {
    words: command.id.replaceAll(':', ' '),
    summary: (command.summary ?? '').replace(/\.$/, ''),
    flags: Object.values(command.flags)
      .filter((flag) => flag.hidden !== true)
      .map((flag) => ({
        name: flag.name,
        char: flag.char ?? null,
        summary: (flag.summary ?? '').replace(/\.$/, ''),
        takesValue: flag.type === 'option',
        values: flag.type === 'option' ? (flag.options ?? []) : [],
      })),
    subject: subjectOf(Object.keys(command.args)[0]),
  }
}

function subjectOf(argument: string | undefined): Entry['subject'] {
  if (argument === 'topic') return 'topics'
  if (argument === 'group') return 'groups'
  return argument === 'name' ? 'instances' : null
}

/** Words that may follow `prefix`: subcommands and groups, each once. */
function nextWords(entries: readonly Entry[], prefix: string): string[] {
  const start = prefix === '' ? '' : `${prefix} `
  const words = entries
    .filter(({ words: all }) => all.startsWith(start))
    .map(({ words: all }) => all.slice(start.length).split(' ')[0] ?? '')
  return [...new Set(words)].filter((word) => word !== '')
}

function prefixes(entries: readonly Entry[]): string[] {
  const groups = entries.flatMap(({ words }) => {
    const parts = words.split(' ')
    return parts.slice(0, -1).map((_, index) => parts.slice(0, index + 1).join(' '))
  })
  return ['', ...new Set(groups)]
}

function bash(entries: readonly Entry[]): string {
  const words = prefixes(entries)
    .map((prefix) => `    ${single(prefix)}) words="${nextWords(entries, prefix).join(' ')}" ;;`)
    .join('\n')
  const flags = entries
    .map(({ words: id, flags: all }) => {
      const names = all.flatMap(({ name, char }) =>
        char === null ? [`--${name}`] : [`--${name}`, `-${char}`],
      )
      return `    ${single(id)}) flags="${names.join(' ')}" ;;`
    })
    .join('\n')
  const values = entries
    .flatMap(({ words: id, flags: all }) =>
      all
        .filter((flag) => flag.values.length > 0)
        .map(
          (flag) => `    ${single(`${id} --${flag.name}`)}) words="${flag.values.join(' ')}" ;;`,
        ),
    )
    .join('\n')
  const subjects = entries
    .filter(({ subject }) => subject !== null)
    .map(({ words: id, subject }) => `    ${single(id)}) subject=${subject ?? ''} ;;`)
    .join('\n')
  return `# mqctl completion for bash: source this, or put it into
# ~/.local/share/bash-completion/completions/mqctl
_mqctl() {
  local cur="\${COMP_WORDS[COMP_CWORD]}" prev="\${COMP_WORDS[COMP_CWORD-1]}"
  local id="" word words="" flags="" subject="" i
  for ((i = 1; i < COMP_CWORD; i++)); do
    word="\${COMP_WORDS[i]}"
    [[ "$word" == -* ]] && break
    case " $(_mqctl_next "$id") " in
      *" $word "*) id="\${id:+$id }$word" ;;
      *) break ;;
    esac
  done
  case "$id $prev" in
${values}
  esac
  if [[ -n "$words" ]]; then
    COMPREPLY=($(compgen -W "$words" -- "$cur"))
    return
  fi
  if [[ "$cur" == -* ]]; then
    case "$id" in
${flags}
    esac
    COMPREPLY=($(compgen -W "$flags" -- "$cur"))
    return
  fi
  words="$(_mqctl_next "$id")"
  case "$id" in
${subjects}
  esac
  [[ -n "$subject" ]] && words="$words $(mqctl complete "$subject" 2>/dev/null)"
  COMPREPLY=($(compgen -W "$words" -- "$cur"))
}
_mqctl_next() {
  local words=""
  case "$1" in
${words}
  esac
  echo "$words"
}
complete -o default -F _mqctl mqctl
`
}

/** Of a command, or of the first word of several. */
type Summaries = ReadonlyMap<string, string>

function zsh(entries: readonly Entry[], summaries: Summaries): string {
  const nexts = prefixes(entries)
    .map((prefix) => {
      const start = prefix === '' ? '' : `${prefix} `
      const described = nextWords(entries, prefix).map((word) => {
        const summary = summaries.get(`${start}${word}`) ?? ''
        return single(`${word}:${summary}`)
      })
      return `    ${single(prefix)}) next=(${described.join(' ')}) ;;`
    })
    .join('\n')
  const flags = entries
    .map(({ words: id, flags: all }) => {
      const specs = all.map((flag) => {
        const value = !flag.takesValue
          ? ''
          : flag.values.length > 0
            ? `:value:(${flag.values.join(' ')})`
            : ':value:_default'
        const summary = flag.summary.replace(/[[\]:]/g, ' ')
        return single(`*--${flag.name}${flag.takesValue ? '=' : ''}[${summary}]${value}`)
      })
      return `    ${single(id)}) flags=(${specs.join(' ')}) ;;`
    })
    .join('\n')
  const subjects = entries
    .filter(({ subject }) => subject !== null)
    .map(({ words: id, subject }) => `    ${single(id)}) subject=${subject ?? ''} ;;`)
    .join('\n')
  return `#compdef mqctl
# mqctl completion for zsh: put it as _mqctl into a directory of $fpath, or source it after compinit
_mqctl_next() {
  case "$1" in
${nexts}
    *) next=() ;;
  esac
}
_mqctl() {
  local id="" word subject="" i
  local -a next flags names
  for ((i = 2; i < CURRENT; i++)); do
    word="\${words[i]}"
    [[ "$word" == -* ]] && break
    _mqctl_next "$id"
    names=(\${(M)next:#\${word}:*})
    (( \${#names} )) || break
    id="\${id:+$id }$word"
  done
  _mqctl_next "$id"
  case "$id" in
${flags}
  esac
  case "$id" in
${subjects}
  esac
  (( \${#next} )) && [[ "\${words[CURRENT]}" != -* ]] && _describe 'command' next
  if [[ -n "$subject" && "\${words[CURRENT]}" != -* ]]; then
    names=(\${(f)"$(mqctl complete "$subject" 2>/dev/null)"})
    compadd -a names
  fi
  (( \${#flags} )) || return 0
  # Files only where no names are known.
  [[ -n "$subject" ]] && flags+=('*: : ') || flags+=('*: :_default')
  _arguments -s "\${flags[@]}"
}
if [[ "$funcstack[1]" == _mqctl ]]; then
  _mqctl "$@"
else
  compdef _mqctl mqctl
fi
`
}

function fish(entries: readonly Entry[], summaries: Summaries): string {
  const lines: string[] = []
  for (const prefix of prefixes(entries)) {
    const start = prefix === '' ? '' : `${prefix} `
    const next = nextWords(entries, prefix)
    for (const word of next) {
      const summary = summaries.get(`${start}${word}`) ?? ''
      lines.push(
        `complete -c mqctl -f -n ${single(`__mqctl_at '${prefix}'`)} -a ${single(word)} -d ${single(summary)}`,
      )
    }
  }
  for (const { words, flags, subject } of entries) {
    const condition = `-n ${single(`__mqctl_in '${words}'`)}`
    if (subject !== null) {
      lines.push(`complete -c mqctl -f ${condition} -a '(mqctl complete ${subject} 2>/dev/null)'`)
    }
    for (const flag of flags) {
      const short = flag.char === null ? '' : ` -s ${flag.char}`
      const value = !flag.takesValue
        ? ''
        : flag.values.length > 0
          ? ` -x -a ${single(flag.values.join(' '))}`
          : ' -r'
      lines.push(
        `complete -c mqctl ${condition} -l ${flag.name}${short}${value} -d ${single(flag.summary)}`,
      )
    }
  }
  return `# mqctl completion for fish: put it into ~/.config/fish/completions/mqctl.fish
function __mqctl_words
  for word in (commandline -opc)[2..-1]
    string match -q -- '-*' $word; and break
    echo $word
  end
end
function __mqctl_at
  set -l words (__mqctl_words)
  test "$words" = "$argv[1]"
end
function __mqctl_in
  set -l words (__mqctl_words)
  string match -q -- "$argv[1] *" "$words "
end
${lines.join('\n')}
`
}

function single(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`
}
