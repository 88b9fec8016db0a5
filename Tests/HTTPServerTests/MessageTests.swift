import JSON
import Testing

@testable import HTTPServer

/// Responses, problems, identifiers and headers without a socket.
@Suite struct MessageTests {
  @Test(arguments: [
    ("\"a\"", "\"a\"", true), ("W/\"a\"", "\"a\"", true), ("\"a\"", "W/\"a\"", true), ("*", "\"a\"", true),
    ("\"b\", \"a\"", "\"a\"", true), ("\"b\",W/\"a\" ", "\"a\"", true), (", ,\"a\"", "\"a\"", true),
    ("\"x,y\"", "\"x,y\"", true), ("\"b\"", "\"a\"", false), ("a", "\"a\"", false), ("", "\"a\"", false),
    ("\"a", "\"a\"", false), ("\"b\" junk \"a\"", "\"a\"", false), ("w/\"a\"", "\"a\"", false),
    ("\"x\", \"y,\"", "\"y\"", false),
  ])
  func entityTagsCompareWeakly(field: String, tag: String, matches: Bool) {
    #expect(ConditionalRequest.matches([field], entityTag: tag) == matches)
    #expect(ConditionalRequest.matches(["\"other\"", field], entityTag: tag) == matches)
  }

  @Test(arguments: [
    ("X", "a\r\nSet-Cookie: b"), ("X", "a\nb"), ("X", "a\rb"), ("X", "a\0b"), ("X", "\u{1}"), ("X", ""),
    ("X\r\nY", "a"), ("X Y", "a"), ("", "a"), ("X:", "a"), ("Ü", "a"),
    ("Content-Length", "3"), ("transfer-encoding", "chunked"), ("Connection", "close"), ("DATE", "now"),
  ])
  func aHeaderThatCannotStandOnOneLineOrIsTheServersIsRefused(name: String, value: String) {
    #expect(throws: ResponseFault.self) { try PreparedResponse(headers: [(name, value)]) }
  }

  @Test(arguments: [0, 100, 199, 600, 999])
  func aStatusThatIsNoResponseIsRefused(status: Int) {
    #expect(throws: ResponseFault.invalidStatus(status)) { try PreparedResponse(status: status) }
  }

  @Test func aProblemListsEveryFault() {
    let problem = Problem(
      .malformedRequest, "a \"quoted\" detail",
      faults: [JSONFault(pointer: "/a/0", detail: "is wrong"), JSONFault(pointer: "", detail: "is empty")],
      headers: [("Retry-After", "3")])
    let response = problem.response(instance: "01890a5d-ac96-774b-bcce-b302099a8057")
    #expect(response.status == 400)
    #expect(response.header("content-type") == "application/problem+json")
    #expect(response.header("Cache-Control") == "no-store")
    #expect(response.header("Retry-After") == "3")
    guard case .bytes(let bytes) = response.body else {
      Issue.record("a problem has a body")
      return
    }
    #expect(
      String(decoding: bytes, as: UTF8.self) == """
        {"type":"/problems/malformed-request","title":"Malformed request","status":400,\
        "detail":"a \\"quoted\\" detail","instance":"urn:uuid:01890a5d-ac96-774b-bcce-b302099a8057",\
        "errors":[{"pointer":"/a/0","detail":"is wrong"},{"pointer":"","detail":"is empty"}]}
        """)
  }

  @Test func theKindsHaveCodesOfTheirOwnAndMatchingStatuses() {
    #expect(Set(Problem.Kind.all.map(\.code)).count == Problem.Kind.all.count)
    for kind in Problem.Kind.all {
      #expect(400...599 ~= kind.status)
      #expect(!kind.title.isEmpty && kind.explanation.hasSuffix("."))
    }
  }

  @Test func requestIDsAreUUIDs() throws {
    var generator = RequestIDGenerator()
    let ids = (0..<1000).map { _ in RequestID(using: &generator).description }
    #expect(Set(ids).count == 1000)
    for id in ids {
      #expect(RequestID(id.utf8)?.description == id)
      let characters = Array(id)
      #expect(characters[14] == "4" && "89ab".contains(characters[19]))
    }
    let upper = "01890A5D-AC96-774B-BCCE-B302099A8057"
    #expect(RequestID(upper.utf8)?.description == upper.lowercased())
    for text in ["", "x", upper.dropLast() + "g", upper + "0", upper.replacing("-", with: "0")] {
      #expect(RequestID(String(text).utf8) == nil)
    }
  }

  @Test func headersCompareWithoutCaseAndKeepOrder() {
    let headers = Headers([("Accept", "a"), ("X-Y", "1"), ("accept", "b")])
    #expect(headers["ACCEPT"] == "a")
    #expect(headers.all("accept") == ["a", "b"])
    #expect(headers["X_Y"] == nil)
    #expect(headers["X"] == nil)
    #expect(headers.count == 3)
  }

  @Test func aHeadForTestsOfHandlersHasAnID() {
    let head = RequestHead(method: .get, target: "/a", pathParameters: PathParameters([("p", "v")]))
    #expect(RequestID(head.id.utf8) != nil)
    #expect(Request(head: head).pathParameters["p"] == "v")
    let id = "01890a5d-ac96-774b-bcce-b302099a8057"
    #expect(RequestHead(method: .get, target: "/a", id: id).id == id)
  }
}
