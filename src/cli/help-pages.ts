/** Pages of `mqctl help PAGE`: what holds for all commands, said once. */
import { exitCodeTable } from '../base/exit-codes.ts'
import { renderTable } from './table.ts'
import type { Terminal } from './terminal.ts'

export interface HelpPage {
  readonly name: string
  readonly summary: string
  readonly text: (terminal: Terminal) => string
}

export const helpPages: readonly HelpPage[] = [
  {
    name: 'exit-codes',
    summary: 'what the exit code of a command says',
    text: (terminal) =>
      [
        'One table for the whole tool; the same code with and without --json.',
        '',
        renderTable(
          terminal,
          [{ head: 'CODE', align: 'right' }, { head: 'NAME' }, { head: 'MEANING' }],
          exitCodeTable.map(({ code, name, meaning }) => [code, name, meaning]),
        ),
        '',
        'Where several apply, the first of 12, 13, 3, 11, 10, 14 wins.',
      ].join('\n'),
  },
  {
    name: 'formats',
    summary: 'output formats, and --format for messages',
    text: () => `Results (-o, --output)
  table    for people; plain columns when piped
  json     one document (same as --json); errors are {"error":{code,message,hint,exitCode}}
  ndjson   lists and messages, one JSON object a line
  yaml     the JSON document as YAML
  csv      lists, with a header; cells that look like formulas get a leading apostrophe
  name     lists, names only, one a line

Messages (--format of consume and produce)
  %v body   %k keys   %g tag   %t topic   %H{name} property   %H all properties as JSON
  %q queue  %o queue offset  %i message id  %b broker  %s body bytes  %r reconsume times
  %d time stored: %d{iso}  %d{ms}  %d{s}  %d{%Y-%m-%d %H:%M:%S.%L} (UTC)   %% a percent sign
  Codings: %v{hex} %v{base64} %v{json} %v{utf8}, also for %k %g and %H{name}{hex}
  Escapes: \\n \\t \\r \\0 \\\\ \\xNN

  produce reads the same tokens: a field ends where the next text of the format begins, a record
  with the last text of the format (or at the end of the line); %o %i %d %s %r %b %t are read over.

  mqctl consume orders --format '%d{iso} %k %v\\n'
  mqctl consume orders --format '%v{base64}\\n'
  printf 'k1 v1\\nk2 v2\\n' | mqctl produce orders --format '%k %v\\n'
  mqctl consume orders -o ndjson --exit-at-end | mqctl produce copy --input ndjson

Numbers
  durations  250ms 5s 10m 2h 1d 1h30m      sizes  500 1k (1,000) 64KiB (65,536) 1MB 1GiB
  rates      5000/s 20k/s 100/m`,
  },
  {
    name: 'time',
    summary: 'positions by offset and time: --from, --to',
    text: () => `A position
  start      the oldest message that is still there
  end        behind the newest message
  1200       queue offset 1200, in every queue
  +10        10 messages after the start of each queue
  -10        10 messages before the end of each queue
  @TIME      the first message stored at that time or later

A span: from the first up to before the second
  100:200    :end    50:    @-2h:-1h    @2026-11-20T08:00:00Z:2026-11-20T09:00:00Z

TIME
  now, -90m, -2h, -1d                      relative to this machine's clock
  2026-11-20, 2026-11-20T08:00:00Z         ISO 8601; UTC unless it says otherwise (+02:00)
  1763625600, 1763625600000                seconds or milliseconds since 1970
  2026-11-20#08:00:00:000                  as mqadmin writes it

  mqctl consume orders --from @-1h
  mqctl consume orders --from @-1h:end --exit-at-end
  mqctl group reset audit --topic orders --to @2026-11-20T08:00:00Z`,
  },
  {
    name: 'environment',
    summary: 'variables, directories and ports',
    text: () => `Variables (a flag always wins)
  MQCTL_NAMESRV     name servers, host:port separated by ;
  NAMESRV_ADDR      the same, as mqadmin and the Java client read it
  NO_COLOR          any value: no colours        FORCE_COLOR   colours also into a pipe
  DEBUG=mqctl:*     stack traces with errors

Which name server a command talks to: --namesrv, MQCTL_NAMESRV, NAMESRV_ADDR, the instance that
mqctl start runs on this machine, 127.0.0.1:9876. With --verbose it says which one it took.

Directories
  $XDG_DATA_HOME/mqctl/clusters/NAME     messages and offsets   (~/.local/share/mqctl/…)
  $XDG_STATE_HOME/mqctl/clusters/NAME    run.json and logs      (~/.local/state/mqctl/…)
  mqctl start --data-dir DIR puts the messages elsewhere; mqctl purge removes them.

Ports (loopback only, unless --bind and --insecure-expose say otherwise)
  9876    name server; the second at 9877 …
  10911   broker; the second at 10931, the third at 10951 …
  mqctl start --any-port takes free ones; mqctl status --json tells which.`,
  },
]
