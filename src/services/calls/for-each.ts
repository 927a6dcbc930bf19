import { AppError } from '../../utils/errors';

/**
 * Applies events of the server to calls, one after the other. A call that fails does not prevent the others: the first
 * error is thrown at the end. A refusal is no failure: the call was deleted in the meantime.
 */
export async function forEach<Item>(
  items: readonly Item[],
  work: (item: Item) => Promise<unknown>,
): Promise<void> {
  const failures: unknown[] = [];
  for (const item of items) {
    await work(item).catch((error: unknown) => {
      if (!(error instanceof AppError)) failures.push(error);
    });
  }
  if (failures.length > 0) throw failures[0];
}
