// Methods of Node's Buffer that its published types leave out; they spare the checks of toString(encoding).
declare global {
  interface Buffer {
    latin1Slice(start?: number, end?: number): string;
  }
}

export {};
