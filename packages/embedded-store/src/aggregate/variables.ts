import { StoreError } from '../errors';

const NAME = /^[a-zA-Z\u0080-\uffff][a-zA-Z0-9_\u0080-\uffff]*$/u;

/**
 * Checks the name of a variable that $let, $map, $lookup … bind: MongoDB requires a lower-case or non-ASCII first
 * letter, and letters, digits or underscores after it.
 */
export function checkUserVariable(name: string): void {
  if (name === '') throw new StoreError(16866, 'empty variable names are not allowed');
  if (name === 'CURRENT') return;
  if (!/^[a-z\u0080-\uffff]/.test(name)) {
    throw new StoreError(16867, `'${name}' starts with an invalid character for a user variable name`);
  }
  if (!NAME.test(name)) {
    throw new StoreError(16868, `'${name}' contains an invalid character for a variable name`);
  }
}

/** Checks the name of a variable that an expression reads. */
export function checkVariableRead(name: string): void {
  if (name === '') throw new StoreError(16869, 'empty variable names are not allowed');
  if (!/^[a-zA-Z\u0080-\uffff]/.test(name)) {
    throw new StoreError(16870, `'${name}' starts with an invalid character for a variable name`);
  }
  if (!NAME.test(name)) {
    throw new StoreError(16871, `'${name}' contains an invalid character for a variable name`);
  }
}
