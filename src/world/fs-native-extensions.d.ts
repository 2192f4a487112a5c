/** The part of the addon that is used here; the package ships no types. */
declare module 'fs-native-extensions' {
  const native: {
    /** Open-file-description lock on [offset, offset + length); false when another holds it. */
    tryLock(fd: number, offset?: number, length?: number): boolean
  }
  export default native
}
