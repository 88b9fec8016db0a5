import Postgres
import Testing

/// Every type goes to a real server and comes back; what the server makes of it is compared by its text form.
@Suite struct CodingTests {
  private func roundTrip<Value: PostgresEncodable & PostgresDecodable & Equatable>(
    _ values: [Value], text: [String]? = nil, _ location: SourceLocation = #_sourceLocation
  ) async throws {
    try await TestServer.withDatabase { database in
      for (index, value) in values.enumerated() {
        let rows = try await database.query("SELECT \(value), \(value)::text") { row in
          (try row.next(Value.self), try row.next(String?.self))
        }
        #expect(rows.count == 1 && rows[0].0 == value, sourceLocation: location)
        if let text { #expect(rows[0].1 == text[index], sourceLocation: location) }
      }
    }
  }

  @Test func numbersKeepTheirExtremes() async throws {
    try await roundTrip([true, false], text: ["true", "false"])
    try await roundTrip([Int16.min, 0, .max], text: ["-32768", "0", "32767"])
    try await roundTrip([Int32.min, 0, .max], text: ["-2147483648", "0", "2147483647"])
    try await roundTrip([Int64.min, -1, .max], text: ["-9223372036854775808", "-1", "9223372036854775807"])
    try await roundTrip([Int.min, 7, .max])
    try await roundTrip(
      [0.1, -0.0, .infinity, -.infinity, .greatestFiniteMagnitude, .leastNonzeroMagnitude],
      text: ["0.1", "-0", "Infinity", "-Infinity", "1.7976931348623157e+308", "5e-324"])
  }

  @Test func notANumberComesBackAsOne() async throws {
    try await TestServer.withDatabase { database in
      let values = try await database.query("SELECT \(Double.nan)") { try $0.next(Double.self) }
      #expect(values.count == 1 && values[0].isNaN)
    }
  }

  @Test func textAndBytesKeepTheirContent() async throws {
    try await roundTrip(["", "plain", "ü漢🦊", "it's \"quoted\" \\ $1\n", String(repeating: "x", count: 1 << 20)])
    try await roundTrip([[UInt8](), [0], Array(0...255)])
    try await roundTrip([JSONB(Array("{\"a\": [1, null, \"ü\"]}".utf8)), JSONB(Array("null".utf8))])
  }

  @Test func identifiersAndInstantsKeepTheirValue() async throws {
    try await roundTrip(
      [
        PostgresUUID(high: 0, low: 0), PostgresUUID(high: .max, low: .max),
        PostgresUUID(high: 0x0123_4567_89AB_CDEF, low: 1),
      ],
      text: [
        "00000000-0000-0000-0000-000000000000", "ffffffff-ffff-ffff-ffff-ffffffffffff",
        "01234567-89ab-cdef-0000-000000000001",
      ])
    // 4714-11-24 BC, the first instant the server takes; 1969; 2000; 2026.
    let instants: [Int64] = [-210_866_803_200_000_000, -1, 946_684_800_000_000, 1_790_000_000_123_456, .max]
    try await roundTrip(instants.map(Timestamp.init(microsecondsSince1970:)))
    try await TestServer.withDatabase { database in
      let text = try await database.query(
        "SELECT to_char(\(Timestamp(microsecondsSince1970: -1)) AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.US')"
      ) { try $0.next(String.self) }
      #expect(text == ["1969-12-31 23:59:59.999999"])
    }
  }

  @Test func nullIsNil() async throws {
    try await roundTrip([Int?.none, 5])
    try await roundTrip([String?.none, ""])
    try await roundTrip([[UInt8]?.none, []])
    try await roundTrip([PostgresUUID?.none])
    try await roundTrip([[Int]?.none, [1]])
  }

  @Test func arraysKeepOrderNullsAndEmptiness() async throws {
    try await roundTrip([[Int](), [.min, 0, .max]], text: ["{}", "{-9223372036854775808,0,9223372036854775807}"])
    try await roundTrip([[Double](), [1.5, -.infinity]], text: ["{}", "{1.5,-Infinity}"])
    try await roundTrip([[String](), ["", "NULL", "a,\"b\"}"]], text: ["{}", "{\"\",\"NULL\",\"a,\\\"b\\\"}\"}"])
    try await roundTrip([["a", nil, ""] as [String?]], text: ["{a,NULL,\"\"}"])
    try await roundTrip([[[1, 2], []] as [[UInt8]]], text: ["{\"\\\\x0102\",\"\\\\x\"}"])
    try await roundTrip([[[1], nil] as [[UInt8]?]], text: ["{\"\\\\x01\",NULL}"])
    try await roundTrip([[PostgresUUID(high: 1, low: 2)], []])
    try await roundTrip([[Timestamp(microsecondsSince1970: 5)], []])
    try await roundTrip([[true, false]], text: ["{t,f}"])
    try await roundTrip([[nil, 3] as [Int?], [nil]], text: ["{NULL,3}", "{NULL}"])
    try await roundTrip([[nil, PostgresUUID(high: 1, low: 2)] as [PostgresUUID?]])
    try await roundTrip([[nil, 0.25] as [Double?]], text: ["{NULL,0.25}"])
    try await roundTrip([[Int32.min, .max], []])
    try await roundTrip([[JSONB(Array("{}".utf8)), JSONB(Array("[1]".utf8))]])
  }

  @Test func unnestTakesManyColumns() async throws {
    try await TestServer.withDatabase { database in
      let numbers = Array(0..<10_000)
      let names = numbers.map { $0 % 3 == 0 ? nil : "name \($0)" }
      let rows = try await database.query(
        "SELECT a, b FROM unnest(\(numbers), \(names)) AS t (a, b) ORDER BY a"
      ) { (try $0.next(Int.self), try $0.next(String?.self)) }
      #expect(rows.map(\.0) == numbers)
      #expect(rows.map(\.1) == names)
    }
  }

  @Test func aColumnOfAnotherTypeOrNullIsRefused() async throws {
    try await TestServer.withDatabase { database in
      for sql in ["SELECT 'x'::text", "SELECT NULL::int8", "SELECT 1.5::numeric"] as [Query] {
        await #expect { _ = try await database.query(sql) { try $0.next(Int.self) } } throws: { error in
          guard case PostgresError.decoding(let failure) = error else { return false }
          return failure.column == 0
        }
      }
      await #expect {
        _ = try await database.query("SELECT 1") { (try $0.next(Int.self), try $0.next(Int.self)) }
      } throws: { "\($0)" == "result column 1: the result has no such column" }
      await #expect {
        _ = try await database.query("SELECT 'infinity'::timestamptz") { try $0.next(Timestamp.self) }
      } throws: { "\($0)" == "result column 0: an infinite timestamp" }
      await #expect { _ = try await database.query("SELECT '{{1},{2}}'::int8[]") { try $0.next([Int].self) } } throws: {
        "\($0)" == "result column 0: an array of 2 dimensions"
      }
    }
  }

  @Test func narrowTypesAreWidened() async throws {
    try await TestServer.withDatabase { database in
      let rows = try await database.query(
        "SELECT 7::int2, 8::int4, 9::int2, 1.5::float4, 'n'::name, 'c '::char(2), 'v'::varchar, '{\"a\":1}'::json"
      ) { row in
        (
          try row.next(Int.self), try row.next(Int64.self), try row.next(Int32.self), try row.next(Double.self),
          try [row.next(String.self), row.next(String.self), row.next(String.self)], try row.next(JSONB.self)
        )
      }
      let row = try #require(rows.first)
      #expect(row.0 == 7 && row.1 == 8 && row.2 == 9 && row.3 == 1.5)
      #expect(row.4 == ["n", "c ", "v"])
      #expect(row.5 == JSONB(Array("{\"a\":1}".utf8)))
    }
  }

  @Test func instantsOutsideTheServersRangeAreRefusedNotBent() async throws {
    try await TestServer.withDatabase { database in
      for microseconds: Int64 in [.min, .min + 1, -210_866_803_200_000_001] {
        await #expect {
          try await database.execute("SELECT \(Timestamp(microsecondsSince1970: microseconds))")
        } throws: { code(of: $0) == "22008" }
      }
    }
  }

  @Test func uuidText() {
    let uuid = PostgresUUID(parsing: "018F3c2a-7b1D-7e4f-8a9b-0c1d2e3f4a5b")
    #expect(uuid?.description == "018f3c2a-7b1d-7e4f-8a9b-0c1d2e3f4a5b")
    #expect(uuid == PostgresUUID(high: 0x018F_3C2A_7B1D_7E4F, low: 0x8A9B_0C1D_2E3F_4A5B))
    for text in [
      "", "018f3c2a7b1d7e4f8a9b0c1d2e3f4a5b", "018f3c2a-7b1d-7e4f-8a9b-0c1d2e3f4a5",
      "{18f3c2a-7b1d-7e4f-8a9b-0c1d2e3f4a5b",
      "018f3c2a-7b1d-7e4f-8a9b-0c1d2e3f4a5g", "018f3c2a-7b1d-7e4f-8a9b-0c1d2e3f4a5b ",
      "018f3c2a-7b1d7-e4f-8a9b-0c1d2e3f4a5b",
    ] {
      #expect(PostgresUUID(parsing: text) == nil)
    }
    #expect(PostgresUUID(high: 1, low: .max) < PostgresUUID(high: 2, low: 0))
    #expect(PostgresUUID(high: 1, low: 1) < PostgresUUID(high: 1, low: 2))
  }

  @Test func interpolationBindsAndOnlyTheLoudLabelIsText() {
    let hostile = "x'; DROP TABLE t; --"
    let query: Query = "SELECT \(hostile), \(1) FROM \(unsafeRaw: "t") WHERE a = \(Int?.none)"
    #expect(query.sql == "SELECT $1, $2 FROM t WHERE a = $3")
    #expect(query.bindings.count == 3)
  }
}

/// The SQLSTATE of an error of the server, nil for any other.
func code(of error: any Error) -> String? {
  guard case PostgresError.server(let server)? = error as? PostgresError else { return nil }
  return server.code
}
