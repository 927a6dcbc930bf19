import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

/** What the first lines of a decision say about it. */
interface Decision {
  file: string;
  number: string;
  title: string;
  /** `accepted` or `superseded by [NNNN](NNNN-name.md)`. */
  status: string;
  /** `YYYY-MM-DD`. */
  date: string;
}

const FILE_NAME = /^(\d{4})-[a-z0-9]+(?:-[a-z0-9]+)*\.md$/;
const STATUS = /^Status: (accepted|superseded by \[(\d{4})\]\(\2-[a-z0-9-]+\.md\))$/m;
const DATE = /^Date: (\d{4}-\d\d-\d\d)$/m;

/** Returns the paths of all decisions in a folder, without its index. */
export function decisionPages(folder: string): string[] {
  return filesOf(folder).map((file) => join(folder, file));
}

/**
 * Checks names, numbers and first lines (title, status and date) of the decisions in a folder.
 * @returns one message for each problem.
 */
export function decisionProblems(folder: string): string[] {
  const numbers = new Map<string, string>();
  return filesOf(folder).flatMap((file) => {
    const number = FILE_NAME.exec(file)?.[1];
    if (number === undefined) return [`${file}: the name must be NNNN-words-with-hyphens.md`];
    const same = numbers.get(number);
    numbers.set(number, file);
    return [
      ...(same === undefined ? [] : [`${file}: ${same} has the same number`]),
      ...read(folder, file).problems,
    ];
  });
}

/** Returns the index of the decisions in a folder: a table with number, title, date and status of each. */
export function decisionsTable(folder: string): string {
  const rows = filesOf(folder)
    .flatMap((file) => read(folder, file).decision ?? [])
    .map(
      ({ number, file, title, date, status }) =>
        `| [${number}](${file}) | ${title.replaceAll('|', '\\|')} | ${date} | ${status} |`,
    );
  return ['| number | decision | date | status |', '| --- | --- | --- | --- |', ...rows].join('\n');
}

function filesOf(folder: string): string[] {
  return readdirSync(folder)
    .filter((name) => name.endsWith('.md') && name !== 'README.md')
    .sort();
}

function read(folder: string, file: string): { decision?: Decision; problems: string[] } {
  const [head = ''] = readFileSync(join(folder, file), 'utf8').split('\n## ', 1);
  const number = FILE_NAME.exec(file)?.[1];
  const title = /^# (.+)\n/.exec(head)?.[1];
  const status = STATUS.exec(head)?.[1];
  const date = DATE.exec(head)?.[1];
  const problems = [
    ...(title === undefined ? ['the first line must be its title'] : []),
    ...(status === undefined
      ? [
          'there is no line "Status: accepted" or "Status: superseded by [NNNN](NNNN-name.md)" below the title',
        ]
      : []),
    ...(date === undefined || !isDate(date) ? ['there is no line "Date: YYYY-MM-DD" below the title'] : []),
  ].map((problem) => `${file}: ${problem}`);
  if (number === undefined || title === undefined || status === undefined || date === undefined) {
    return { problems };
  }
  return { decision: { file, number, title, status, date }, problems };
}

function isDate(text: string): boolean {
  const date = new Date(`${text}T00:00:00Z`);
  return !Number.isNaN(date.getTime()) && date.toISOString().startsWith(text);
}
