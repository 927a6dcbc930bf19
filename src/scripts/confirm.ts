import { createInterface } from 'node:readline/promises';

/** Asks a question on the terminal. @returns whether the answer is "yes". @throws Error without a terminal. */
export async function confirm(question: string): Promise<boolean> {
  if (!process.stdin.isTTY)
    throw new Error('Standard input is not a terminal; pass --yes to delete without a question.');
  const prompt = createInterface({ input: process.stdin, output: process.stdout });
  try {
    return (await prompt.question(question)).trim().toLowerCase() === 'yes';
  } finally {
    prompt.close();
  }
}
