/** An instruction of a Dockerfile: `COPY` and what follows it, on one line. */
export interface Instruction {
  name: string;
  text: string;
}

/** The instructions of a `FROM` and those after it. */
export interface Stage {
  /** The name after `AS`. */
  name: string | undefined;
  instructions: Instruction[];
}

/** Reads a Dockerfile without here-documents and parser directives. What stands before the first stage (`ARG`) is left out. */
export function parseDockerfile(source: string): Stage[] {
  const lines = source
    .split('\n')
    .filter((line) => !/^\s*#/.test(line))
    .join('\n')
    .replaceAll(/\\\n\s*/g, '')
    .split('\n');
  const stages: Stage[] = [];
  for (const line of lines) {
    const [, name, text] = /^([A-Z]+)\s+(.+?)\s*$/.exec(line) ?? [];
    if (name === undefined || text === undefined) continue;
    if (name === 'FROM') stages.push({ name: / AS (\S+)$/.exec(text)?.[1], instructions: [] });
    else stages.at(-1)?.instructions.push({ name, text });
  }
  return stages;
}

/** The variables that the `ENV` instructions of a stage set. */
export function variablesOf({ instructions }: Stage): Record<string, string> {
  const pairs = instructions.filter(({ name }) => name === 'ENV').flatMap(({ text }) => text.split(/\s+/));
  return Object.fromEntries(pairs.map((pair) => pair.split('=', 2) as [string, string]));
}

/** The sources and the target of a `COPY`, and the stage that it copies from. */
export function parseCopy(text: string): { sources: string[]; target: string; from: string | undefined } {
  const words = text.split(/\s+/);
  const paths = words.filter((word) => !word.startsWith('--'));
  const from = words.find((word) => word.startsWith('--from='))?.slice('--from='.length);
  return { sources: paths.slice(0, -1), target: paths.at(-1)!, from };
}

/**
 * Returns a function that says whether `.dockerignore` keeps a path from the builder. It understands what that of Parley
 * contains: `*`, `!path` and `**` with a name.
 * @throws on any other pattern.
 */
export function readDockerignore(source: string): (path: string) => boolean {
  const lines = source.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
  const allowed = lines.filter((line) => line.startsWith('!')).map((line) => line.slice(1));
  const names = lines.filter((line) => line.startsWith('**/')).map((line) => line.slice(3));
  const other = lines.filter((line) => line !== '*' && !line.startsWith('!') && !line.startsWith('**/'));
  if (other.length > 0 || lines[0] !== '*')
    throw new Error(`.dockerignore: ${other.join(', ')} is not understood`);
  return (path) =>
    !allowed.some((each) => path === each || path.startsWith(`${each}/`)) ||
    path.split('/').some((segment) => names.includes(segment));
}
