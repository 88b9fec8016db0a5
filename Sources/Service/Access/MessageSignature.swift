import HTTPServer
import JSON

/// The signature of an HTTP request (RFC 9421), read and not believed.
struct MessageSignature {
  /// What is signed: names of fields in lower case, and derived components such as `@path`.
  let components: [String]
  let parameters: [StructuredField.Parameter]
  let value: [UInt8]
  /// Components and parameters in their one form, which ends what is signed.
  private let signatureParameters: String

  static let inputHeader = "Signature-Input"
  static let header = "Signature"

  /// - Throws: everything that keeps the two fields from being one signature.
  init(_ headers: Headers) throws(JSONFaults) {
    var faults: [JSONFault] = []
    let input = Self.entry(Self.inputHeader, in: headers, &faults)
    let signature = Self.entry(Self.header, in: headers, &faults)
    var read: (components: [String], parameters: [StructuredField.Parameter], text: String)?
    if let input {
      if case .innerList(let items, let parameters) = input.member {
        read = (Self.components(items, &faults), parameters, "\(input.member)")
      } else {
        faults.append(JSONFault(pointer: Self.inputHeader, detail: "must list what is covered"))
      }
    }
    var value: [UInt8]?
    if let signature {
      if case .item(let item) = signature.member, case .bytes(let bytes) = item.value {
        value = bytes
      } else {
        faults.append(JSONFault(pointer: Self.header, detail: "must be a sequence of bytes"))
      }
      if let input, input.name != signature.name {
        faults.append(JSONFault(pointer: Self.header, detail: "has no signature named \(input.name)"))
      }
    }
    guard faults.isEmpty, let read, let value else { throw JSONFaults(faults) }
    (components, parameters, signatureParameters) = read
    self.value = value
  }

  /// The only entry of the field: of several signatures nobody could tell which one is meant.
  private static func entry(
    _ header: String, in headers: Headers, _ faults: inout [JSONFault]
  ) -> StructuredField.Entry? {
    do throws(StructuredField.Fault) {
      let entries = try StructuredField.dictionary(headers.all(header))
      if entries.count == 1 { return entries[0] }
      faults.append(JSONFault(pointer: header, detail: "must be there with exactly one signature"))
    } catch {
      faults.append(JSONFault(pointer: header, detail: "\(error)"))
    }
    return nil
  }

  private static func components(_ items: [StructuredField.Item], _ faults: inout [JSONFault]) -> [String] {
    var names: [String] = []
    for item in items where faults.count < JSONFaults.countMax {
      guard case .string(let name) = item.value, item.parameters.isEmpty else {
        faults.append(
          JSONFault(pointer: inputHeader, detail: "covers \(item), which is no component that is known here"))
        continue
      }
      if names.contains(name) { faults.append(JSONFault(pointer: inputHeader, detail: "covers \(name) twice")) }
      names.append(name)
    }
    return names
  }

  /// The bytes that are signed (section 2.5).
  func base(of head: RequestHead) throws(JSONFaults) -> [UInt8] {
    var faults: [JSONFault] = []
    var text = ""
    for name in components where faults.count < JSONFaults.countMax {
      if let value = Self.value(of: name, in: head) {
        text += "\"\(name)\": \(value)\n"
      } else {
        let reason = name.hasPrefix("@") ? "is no component that is known here" : "is no field of the request"
        faults.append(JSONFault(pointer: Self.inputHeader, detail: "covers \(name), which \(reason)"))
      }
    }
    if !faults.isEmpty { throw JSONFaults(faults) }
    return Array((text + "\"@signature-params\": \(signatureParameters)").utf8)
  }

  /// What a proxy in front changes, such as the scheme, is not known here and cannot be covered.
  private static func value(of name: String, in head: RequestHead) -> String? {
    switch name {
    case "@method": return head.method.rawValue
    case "@authority": return head.headers["Host"]?.lowercased()
    case "@path": return String(head.rawPath)
    case "@query": return "?" + (head.rawQuery ?? "")
    default:
      let lines = head.headers.all(name)
      return name != name.lowercased() || lines.isEmpty ? nil : lines.joined(separator: ", ")
    }
  }
}
