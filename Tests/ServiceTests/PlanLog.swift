import Foundation
import TestHarness

/// A statement that PostgreSQL ran, and the plan that it ran it by, as auto_explain wrote them into the server's log.
struct RecordedPlan {
  struct Node {
    let kind: String
    let relation, index: String?
    /// Of INSERT ... ON CONFLICT: by which it finds out about conflicts.
    let arbiters: [String]
  }

  /// Without line breaks.
  let sql: String
  let nodes: [Node]

  var scannedWhole: Set<String> { Set(nodes.filter { $0.kind == "Seq Scan" }.compactMap(\.relation)) }
  var indexes: Set<String> { Set(nodes.compactMap(\.index) + nodes.flatMap(\.arbiters)) }
  /// Of `result` or `result_evidence`.
  var partitions: Set<String> {
    Set(nodes.compactMap(\.relation).filter { $0.wholeMatch(of: /result.*_\d{4}_\d\d/) != nil })
  }

  /// Every plan in a server's log.
  static func all(inLogAt path: String) throws -> [RecordedPlan] {
    var plans: [RecordedPlan] = []
    var lines: [Substring]?
    let text = try String(contentsOfFile: path, encoding: .utf8)
    for line in text.split(separator: "\n") {
      if line.hasPrefix("\t"), lines != nil {
        lines!.append(line)
        continue
      }
      if let lines { plans.append(try RecordedPlan(lines.joined(separator: "\n"))) }
      lines = line.hasSuffix(" plan:") ? [] : nil
    }
    if let lines { plans.append(try RecordedPlan(lines.joined(separator: "\n"))) }
    return plans
  }

  private init(_ text: String) throws {
    let json = JSON(try JSONSerialization.jsonObject(with: Data(text.utf8)))
    sql = json["Query Text"].string!.split(whereSeparator: \.isWhitespace).joined(separator: " ")
    var nodes: [Node] = []
    func add(_ node: JSON) {
      nodes.append(
        Node(
          kind: node["Node Type"].string!, relation: node["Relation Name"].string, index: node["Index Name"].string,
          arbiters: node["Conflict Arbiter Indexes"].array.compactMap(\.string)))
      for child in node["Plans"].array { add(child) }
    }
    add(json["Plan"])
    self.nodes = nodes
  }
}
