const rows: [string, string, string][] = [];

/** Prints a row of the table, and stores it for `printTable`. */
export function addRow(what: string, figure: string, compared = ''): void {
  rows.push([what, figure, compared]);
  console.log(`${what.padEnd(52)} ${figure.padStart(16)}  ${compared}`);
}

/** Prints all rows as a Markdown table. */
export function printTable(): void {
  console.log(`\n| what | figure | compared |\n| --- | --- | --- |`);
  for (const row of rows) console.log(`| ${row.join(' | ')} |`);
}

/** Returns how long `work` takes. */
export async function milliseconds(work: () => Promise<unknown> | void): Promise<number> {
  const begun = performance.now();
  await work();
  return performance.now() - begun;
}

/** Returns the operations per second of `total` calls, with `parallel` of them at the same time. */
export async function rate(
  total: number,
  parallel: number,
  work: (i: number) => Promise<unknown>,
): Promise<number> {
  let next = 0;
  const worker = async () => {
    for (let i = next++; i < total; i = next++) await work(i);
  };
  const spent = await milliseconds(() => Promise.all(Array.from({ length: parallel }, worker)));
  return total / (spent / 1000);
}
