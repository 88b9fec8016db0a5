import Postgres
import Testing

@Suite struct DatabaseTests {
  @Test func oneValue() async throws {
    try await TestServer.withDatabase { database in
      let values = try await database.query("SELECT \(41) + 1") { try $0.next(Int.self) }
      #expect(values == [42])
    }
  }
}
