export interface CodeCache {
  readonly start: number;
  readonly entries: readonly { readonly name: string; readonly from: number; readonly to: number }[];
}
export function findCodeCache(blob: Buffer): CodeCache | undefined;
export function trimBlob(blob: Buffer, wanted: ReadonlySet<string>): Buffer | undefined;
