/** What went wrong, said in one line to the person at the terminal; exit code 1, no stack. */
export class Complaint extends Error {
  constructor(message: string) {
    super(message)
    this.name = 'Complaint'
  }
}
