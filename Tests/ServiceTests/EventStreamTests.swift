import Foundation
import Glibc
import HTTPServer
import Synchronization
import TestHarness
import Testing

@testable import Service

/// `GET /v1/events` over raw sockets.
@Suite(.serialized, .timeLimit(.minutes(2))) struct EventStreamTests {
  private func setIncident(_ instance: TestInstance) async throws {
    _ = try await instance.client.post("/v1/providers/acme/incidents", #"{"concern":"backdoor","summary":"S"}"#)
  }

  private func closeIncidents(_ instance: TestInstance) async throws {
    for incident in try await instance.client.get("/v1/providers/acme/incidents").json["items"].array
    where incident["closed_at"].isNull {
      _ = try await instance.client.post("/v1/providers/acme/incidents/\(incident["id"].string!)/close", "")
    }
  }

  private func versions(_ instance: TestInstance) async throws -> [Int] {
    try await instance.client.get("/v1/providers/acme/score/events").json["items"].array
      .compactMap { $0["version"].integer }
  }

  @Test func anEventIsStreamedByEveryInstance() async throws {
    try await withRegisteredRelay { first in
      let second = try await TestInstance.start(on: first.configuration, adminKey: first.adminKey)
      let readers = try [first, second].map { try EventReader($0) }
      for reader in readers { try await eventually { reader.text.contains("retry: 2000") } }
      try await setIncident(first)
      for reader in readers { try await eventually { reader.events.count == 1 } }
      let stored = try await first.client.get("/v1/providers/acme/score/events").json["items"][0]
      for reader in readers {
        let event = try #require(reader.events.first)
        #expect(event.name == "score.changed")
        #expect(event.id == stored["version"].integer.map(String.init))
        #expect(event.data["after"]["verdict"].string == "block")
        #expect(event.data["provider"]["slug"].string == "acme")
        #expect(event.data["version"].integer == stored["version"].integer)
        #expect(reader.text.contains("Content-Type: text/event-stream\r\n"))
      }
      #expect(second.service.parts.events.streamsCount == 1)
      readers[1].close()
      try await eventually { second.service.parts.events.streamsCount == 0 }
      // With a stream still open.
      await second.stop()
    }
  }

  @Test func aClientGoesOnWhereItWas() async throws {
    let clock = TestClock("2026-11-23T08:00:10.000Z")
    try await withRegisteredRelay(clock: clock.clock) { first in
      for number in 1...4 {
        try await number % 2 == 1 ? setIncident(first) : closeIncidents(first)
        try await eventually { try await versions(first).count == number }
        clock.advance(milliseconds: 1_000)
      }
      let all = try await versions(first)
      // One that was there, and one that has to ask the database.
      let second = try await TestInstance.start(on: first.configuration, clock: clock.clock, adminKey: first.adminKey)
      for instance in [first, second] {
        let reader = try EventReader(instance, lastEventID: "\(all[1])")
        try await eventually { reader.events.count == 2 }
        #expect(reader.events.map(\.id) == all[2...].map(String.init))
        for unknown in ["x", "-1", "1e3", "\(all[3] + 1_000)"] {
          let lost = try EventReader(instance, lastEventID: unknown)
          try await eventually { lost.events.count == 1 }
          #expect(lost.events[0].name == "reset", "\(unknown)")
          #expect(lost.events[0].data["version"].integer! >= all[3])
        }
      }
      // What was missed more than seven days ago is not sent again; who missed nothing goes on.
      clock.advance(milliseconds: 8 * 86_400_000)
      let late = try EventReader(first, lastEventID: "\(all[2])")
      try await eventually { !late.events.isEmpty }
      #expect(late.events[0].name == "reset")
      let upToDate = try EventReader(first, lastEventID: "\(all[3])")
      try await setIncident(first)
      try await eventually { upToDate.events.contains { $0.data["after"]["verdict"].string == "block" } }
      #expect(!upToDate.events.contains { $0.name == "reset" })
      await second.stop()
    }
  }

  @Test func quietStreamsBeatAndEndWithTheirKey() async throws {
    try await withRegisteredRelay { instance in
      let key = try await instance.client.post("/v1/keys", #"{"name":"K","scopes":["scores:read"]}"#)
      let secret = try #require(key.json["key"].string)
      let reader = try EventReader(instance, key: secret)
      async let whole = instance.client.with(key: secret).get("/v1/events")
      try await eventually { instance.service.parts.events.streamsCount == 2 && reader.text.contains("retry") }
      instance.service.parts.events.beat()
      try await eventually { reader.text.contains(": heartbeat\n\n") }
      let id = try #require(key.json["id"].string)
      #expect(try await instance.client.send("DELETE", "/v1/keys/\(id)").status == 204)
      try await eventually {
        instance.service.parts.events.beat()
        return reader.isEnded
      }
      #expect(reader.text.hasSuffix("0\r\n\r\n"))
      let answer = try await whole
      #expect(answer.status == 200 && answer.headers["content-type"] == "text/event-stream")
      #expect(answer.text.hasPrefix("retry: 2000\nid: "))
      try await eventually { instance.service.parts.events.streamsCount == 0 }
    }
  }

  @Test func streamsAreLimited() async throws {
    try await withRegisteredRelay { instance in
      let parts = instance.service.parts
      let hub = EventHub(
        store: parts.publications, registry: parts.registry, keys: parts.keyRing, clock: parts.clock, streamsCountMax: 2
      )
      guard case .valid(let caller) = parts.keyRing.verify(instance.adminKey) else { throw CancellationError() }
      var streams = [
        try await hub.stream(behind: nil, for: caller), try await hub.stream(behind: nil, for: caller),
      ]
      do {
        streams.append(try await hub.stream(behind: nil, for: caller))
        Issue.record("a third stream was let in")
      } catch let problem as Problem {
        #expect(problem.kind.status == 503)
        #expect(problem.headers.contains { $0.name == "Retry-After" })
      }
      streams.removeLast()
      #expect(hub.streamsCount == 1)
      streams.append(try await hub.stream(behind: nil, for: caller))
      #expect(streams.count == 2)
    }
  }

  /// Far behind what is kept in memory, whatever is kept there.
  @Test func whatIsNoLongerInMemoryComesFromTheDatabase() async throws {
    try await withRegisteredRelay { instance in
      let parts = instance.service.parts
      let id = try #require(parts.registry.provider("acme")).id
      try await eventually { try await instance.client.get("/v1/changes").json["items"].array.count == 1 }
      try await parts.database.execute(
        """
        insert into score_event (provider_id, methodology, version, methodology_hash, at, recorded_at, cause,
          after_provisional_score, after_verdict)
        select \(id), 'rm-1', 100000 + n, 'h', now(), now(), 'time', n, 'unknown' from generate_series(1, 3000) n
        """)
      try await parts.database.execute("update score_head set version = 200000")
      try await parts.database.execute("update published_score set version = 200000 where provider_id = \(id)")
      let reader = try EventReader(instance, lastEventID: "100000")
      try await eventually { reader.framesCount > 3_000 }
      let ids = reader.events.prefix(3_000).map(\.id)
      #expect(ids.elementsEqual((100_001...103_000).map { "\($0)" }), "\(ids.prefix(3)) ... \(ids.suffix(3))")
    }
  }
}

/// A client of one stream, which reads on a thread of its own.
private final class EventReader: Sendable {
  struct Event {
    let id: String?
    let name: String?
    let data: TestHarness.JSON
  }

  private let descriptor: Int32
  private struct Received {
    /// With the sizes of chunks.
    var raw: [UInt8] = []
    var body: [UInt8] = []
    var isEnded = false
  }
  private let received = Mutex(Received())

  init(_ instance: TestInstance, key: String? = nil, lastEventID: String? = nil) throws {
    let port = try #require(UInt16(instance.client.base.split(separator: ":").last!))
    descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_port = port.bigEndian
    address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
    let connected = withUnsafePointer(to: &address) { pointer in
      pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
      }
    }
    try #require(connected == 0)
    var request = "GET /v1/events HTTP/1.1\r\nHost: test\r\nAuthorization: Bearer \(key ?? instance.adminKey)\r\n"
    if let lastEventID { request += "Last-Event-ID: \(lastEventID)\r\n" }
    let bytes = Array((request + "\r\n").utf8)
    try #require(send(descriptor, bytes, bytes.count, Int32(MSG_NOSIGNAL)) == bytes.count)
    Thread.detachNewThread { [self] in read() }
  }

  deinit { Glibc.close(descriptor) }

  /// Ends the connection; the reading thread sees that and lets go of the socket.
  func close() { shutdown(descriptor, Int32(SHUT_RDWR)) }

  private func read() {
    var piece = [UInt8](repeating: 0, count: 65_536)
    // Behind the head, then behind each chunk.
    var start: Int?
    while true {
      let count = recv(descriptor, &piece, piece.count, 0)
      received.withLock { received in
        guard count > 0 else { return received.isEnded = true }
        received.raw += piece.prefix(count)
        let raw = received.raw
        if start == nil { start = raw.firstRange(of: Array("\r\n\r\n".utf8))?.upperBound }
        while let begin = start, let line = raw[begin...].firstRange(of: Array("\r\n".utf8)),
          let size = Int(String(decoding: raw[begin..<line.lowerBound], as: UTF8.self), radix: 16),
          raw.count >= line.upperBound + size + 2
        {
          received.body += raw[line.upperBound..<line.upperBound + size]
          start = size > 0 ? line.upperBound + size + 2 : nil
          if size == 0 { return }
        }
      }
      if count <= 0 { return }
    }
  }

  var isEnded: Bool { received.withLock { $0.isEnded } }

  /// All that came, sizes of chunks included.
  var text: String { String(decoding: received.withLock { $0.raw }, as: UTF8.self) }

  private var frames: [[UInt8].SubSequence] {
    received.withLock { $0.body }.split(separator: Array("\n\n".utf8))
  }

  /// Comments included.
  var framesCount: Int { frames.count }

  var events: [Event] {
    frames.compactMap { frame in
      var fields: [String: String] = [:]
      for line in frame.split(separator: UInt8(ascii: "\n")) {
        let parts = String(decoding: line, as: UTF8.self).split(separator: ": ", maxSplits: 1).map(String.init)
        if parts.count == 2 { fields[parts[0]] = parts[1] }
      }
      guard let name = fields["event"], let data = fields["data"] else { return nil }
      return Event(
        id: fields["id"], name: name,
        data: TestHarness.JSON(try? JSONSerialization.jsonObject(with: Data(data.utf8))))
    }
  }
}
