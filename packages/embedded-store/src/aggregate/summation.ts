import { Double, Int32, Long } from 'bson';
import { type NumberValue, add, toDecimal, toNumber } from '../bson/numbers';

const INT_MIN = -(2n ** 31n);
const INT_MAX = 2n ** 31n - 1n;
const LONG_MIN = -(2n ** 63n);
const LONG_MAX = 2n ** 63n - 1n;

/**
 * Adds numbers as MongoDB's $sum, $avg and $add do: integers exactly, doubles with compensated summation (Kahan and
 * Babuška), decimals as decimals; the widest input type is the type of the result.
 */
export class Summation {
  private integers = 0n;
  private small = 0;
  private double = 0;
  private carry = 0;
  private decimal: NumberValue | undefined;
  private wide = false;
  private floating = false;
  /** How many numbers were added. */
  count = 0;

  /** Adds one number. */
  add(value: NumberValue): void {
    this.count++;
    if (value instanceof Int32) this.addSmall(value.value);
    else if (value instanceof Double) this.addDouble(value.value);
    else if (value instanceof Long) {
      this.wide = true;
      this.integers += value.toBigInt();
    } else {
      this.decimal = this.decimal === undefined ? value : add(this.decimal, value);
    }
  }

  private addSmall(value: number): void {
    this.small += value;
    // A plain number while that is exact, which nearly all sums are.
    if (!Number.isSafeInteger(this.small)) {
      this.integers += BigInt(this.small - value) + BigInt(value);
      this.small = 0;
    }
  }

  private addDouble(value: number): void {
    this.floating = true;
    const sum = this.double + value;
    if (Number.isFinite(sum)) {
      this.carry +=
        Math.abs(this.double) >= Math.abs(value) ? this.double - sum + value : value - sum + this.double;
    }
    this.double = sum;
  }

  private get integerTotal(): bigint {
    return this.integers + BigInt(this.small);
  }

  private get doubleTotal(): number {
    const whole = this.integerTotal;
    if (!this.floating) return Number(whole);
    if (!Number.isFinite(this.double)) return this.double;
    // The integers are added in two exact halves, so that a 64-bit total stays exact.
    const high = Number(whole);
    const low = Number.isFinite(high) ? Number(whole - BigInt(high)) : 0;
    const sum = this.double + high;
    const error =
      Math.abs(this.double) >= Math.abs(high) ? this.double - sum + high : high - sum + this.double;
    return sum + (error + this.carry + low);
  }

  /** The sum; totals beyond 64 bits become doubles. An empty sum is Int32 0. */
  total(): NumberValue {
    if (this.decimal !== undefined) {
      return this.floating || this.integerTotal !== 0n
        ? add(this.decimal, toDecimal(this.binaryTotal()))
        : this.decimal;
    }
    return this.binaryTotal();
  }

  private binaryTotal(): NumberValue {
    if (this.floating) return new Double(this.doubleTotal);
    const total = this.integerTotal;
    if (!this.wide && total >= INT_MIN && total <= INT_MAX) return new Int32(Number(total));
    return total >= LONG_MIN && total <= LONG_MAX ? Long.fromBigInt(total) : new Double(Number(total));
  }

  /** The sum as a double, for averages. */
  toDouble(): number {
    return toNumber(new Double(this.doubleTotal));
  }

  /** Whether a decimal was among the numbers. */
  get isDecimal(): boolean {
    return this.decimal !== undefined;
  }
}
