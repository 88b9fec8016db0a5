import Foundation
import FoundationNetworking
import Synchronization

/// A response as a client sees it.
public struct Answer: Sendable {
  public let status: Int
  /// Names in lower case.
  public let headers: [String: String]
  public let body: Data

  public var text: String { String(decoding: body, as: UTF8.self) }

  /// The body as Foundation reads it: an oracle that is not the service's own reader.
  public var json: JSON { JSON(try? JSONSerialization.jsonObject(with: body, options: .fragmentsAllowed)) }
}

/// A JSON value with convenient access; a missing one is nil all the way down.
public struct JSON: @unchecked Sendable {
  // Foundation's JSON objects are immutable.
  public let value: Any?
  public init(_ value: Any?) { self.value = value is NSNull ? nil : value }

  public subscript(_ name: String) -> JSON { JSON((value as? [String: Any])?[name]) }
  public subscript(_ index: Int) -> JSON {
    let array = value as? [Any] ?? []
    return JSON(array.indices.contains(index) ? array[index] : nil)
  }
  public var string: String? { value as? String }
  public var double: Double? { (value as? NSNumber)?.doubleValue }
  public var integer: Int? { (value as? NSNumber)?.intValue }
  public var bool: Bool? { value as? Bool }
  public var array: [JSON] { (value as? [Any] ?? []).map(JSON.init) }
  public var keys: Set<String> { Set((value as? [String: Any] ?? [:]).keys) }
  public var isNull: Bool { value == nil }
  /// The pointers of a problem's `errors`.
  public var pointers: [String] { self["errors"].array.compactMap { $0["pointer"].string } }
}

/// Writes every exchange down, so that the contract's schemas can be held against real answers afterwards.
/// The file is named by `RELAYRISK_TEST_EXCHANGES`; without it nothing is written.
enum ExchangeRecorder {
  private static let file = Mutex<FileHandle?>(open())

  private static func open() -> FileHandle? {
    guard let path = ProcessInfo.processInfo.environment["RELAYRISK_TEST_EXCHANGES"] else { return nil }
    if !FileManager.default.fileExists(atPath: path) { _ = FileManager.default.createFile(atPath: path, contents: nil) }
    let handle = FileHandle(forWritingAtPath: path)
    handle?.seekToEndOfFile()
    return handle
  }

  static func record(_ request: URLRequest, target: String, body: Data?, _ answer: Answer) {
    file.withLock { file in
      guard let file else { return }
      func text(_ data: Data?) -> Any { data.flatMap { String(data: $0, encoding: .utf8) } ?? NSNull() }
      let entry: [String: Any] = [
        "method": request.httpMethod ?? "GET", "target": target,
        "request_content_type": request.value(forHTTPHeaderField: "Content-Type") ?? NSNull(),
        "request_body": text(body), "status": answer.status, "response_headers": answer.headers,
        "response_body": text(answer.body),
      ]
      file.write(try! JSONSerialization.data(withJSONObject: entry) + Data("\n".utf8))
    }
  }
}
