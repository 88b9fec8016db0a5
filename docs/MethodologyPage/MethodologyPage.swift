import Foundation
import JSON
import RiskModel

/// Prints docs/methodology.md with its computed parts computed anew: the tables of constants, the worked example and
/// the table of attacks. Everything between `<!-- NAME: computed -->` and `<!-- end -->` is replaced.
///
/// usage: MethodologyPage METHODOLOGY PAGE
@main struct MethodologyPage {
  static func main() throws {
    precondition(CommandLine.arguments.count == 3, "usage: MethodologyPage METHODOLOGY PAGE")
    let document = try json(of: Data(contentsOf: URL(filePath: CommandLine.arguments[1])))
    let methodology = try Methodology(document)
    let page = try String(contentsOfFile: CommandLine.arguments[2], encoding: .utf8)
    let example = try Observations(json(of: Data(block("json", of: page).utf8)), under: methodology)
    let parts = [
      "constants": constantsTable(document), "concerns": concernsTable(methodology),
      "example": exampleTable(example), "attacks": attackTable(methodology),
    ]
    print(try replacing(parts, in: page), terminator: "")
  }

  private static func json(of data: Data) throws -> JSONValue { try JSONReader.read([UInt8](data)).value }

  /// The first fenced block of a language.
  private static func block(_ language: String, of page: String) -> String {
    let blocks = page.components(separatedBy: "```\(language)\n")
    precondition(blocks.count == 2, "one block of \(language)")
    return blocks[1].components(separatedBy: "\n```")[0]
  }

  private static func replacing(_ parts: [String: String], in page: String) throws -> String {
    let pieces = page.components(separatedBy: ": computed -->\n")
    precondition(pieces.count == parts.count + 1, "\(pieces.count - 1) computed parts, not \(parts.count)")
    return zip(pieces, pieces.dropFirst()).reduce(pieces[0]) { text, pair in
      let name = pair.0.components(separatedBy: "<!-- ").last!
      guard let part = parts[name], let end = pair.1.range(of: "<!-- end -->") else {
        preconditionFailure("the part \(name)")
      }
      return text + ": computed -->\n" + part + "\n" + pair.1[end.lowerBound...]
    }
  }
}

/// The rows of a Markdown table.
func table(_ head: [String], _ rows: [[String]]) -> String {
  ([head, head.map { _ in "---" }] + rows).map { "| \($0.joined(separator: " | ")) |" }.joined(separator: "\n")
}

/// With one digit after the point, as people read scores.
func short(_ number: Double) -> String { String(format: "%.1f", number) }
