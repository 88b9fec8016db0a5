import ArgumentParser
import Glibc
import Service

struct Score: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Computes a score again from its inputs, without a database.",
    discussion: """
      Reads what GET /v1/providers/{p}/score/inputs gives and prints the score document, every check included: the same
      bytes as GET /v1/providers/{p}/score?detail=full&as_of= of the same instant. Names every fault of the input.
      """)

  @Argument(help: "The inputs, or - for standard input.")
  var file: String

  @Option(
    help: ArgumentHelp("The methodology's document; without it the one that the program ships with.", valueName: "file")
  )
  var methodology: String?

  /// Inputs of more than two million results.
  private static let inputBytesMax = 512 * 1024 * 1024
  private static let methodologyBytesMax = 4 * 1024 * 1024

  func run() throws {
    let document = try methodology.map { try readFile($0, bytesMax: Self.methodologyBytesMax) }
    let inputs = try readFile(file, bytesMax: Self.inputBytesMax)
    print(String(decoding: try OfflineScore.document(inputs: inputs, methodology: document), as: UTF8.self))
  }
}
