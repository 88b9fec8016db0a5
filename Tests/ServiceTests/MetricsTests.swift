import Foundation
import TestHarness
import Testing

@testable import Service

/// What `/metrics` says, read as Prometheus reads it.
@Suite(.serialized) struct MetricsTests {
  /// The samples by series, such as `name{label="value"}`, and the kinds by the name of their metric.
  private struct Scrape {
    var samples: [String: Double] = [:]
    var kinds: [String: String] = [:]

    init(_ client: APIClient) async throws {
      let answer = try await client.with(key: nil).get("/metrics")
      #expect(answer.status == 200)
      #expect(answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8")
      #expect(answer.text.hasSuffix("\n"))
      var metric = ""
      for line in answer.text.dropLast().split(separator: "\n", omittingEmptySubsequences: false) {
        if line.hasPrefix("# HELP ") {
          metric = String(line.split(separator: " ")[2])
          #expect(line.split(separator: " ").count > 3 && kinds[metric] == nil, "\(line)")
        } else if line.hasPrefix("# TYPE ") {
          let words = line.split(separator: " ")
          #expect(words[2] == metric)
          kinds[metric] = String(words[3])
        } else {
          let space = try #require(line.lastIndex(of: " "))
          let series = String(line[..<space])
          #expect(series.hasPrefix(metric) && samples[series] == nil, "\(line)")
          let value: Double = try #require(Double(line[line.index(after: space)...]), "\(line)")
          samples[series] = value
        }
      }
    }
  }

  @Test func requestsAndResultsAreCounted() async throws {
    try await withRegisteredRelay { instance in
      let client = instance.client
      let bound = try await instance.key(.resultsWrite, source: "lab")
      let result = Posting.result(["external_id": "1"])
      for status in [201, 200] { #expect(try await bound.post("/v1/probe-results", object: result).status == status) }
      let other = Posting.result(outcome: "pass", ["external_id": "1"])
      #expect(try await bound.post("/v1/probe-results", object: other).status == 409)
      #expect(try await bound.post("/v1/probe-results", #"{"outcome":"x"}"#).status == 422)
      let wrong: [[String: Any]] = [Posting.result(["external_id": "2"]), ["outcome": "x"]]
      _ = try await bound.post("/v1/probe-results", object: ["results": wrong])
      _ = try await bound.post("/v1/probe-results?atomic=true", object: ["results": wrong])
      for _ in 0..<3 { _ = try await client.get("/v1/providers/acme/score") }
      _ = try await client.send("HEAD", "/v1/providers/acme/score")
      _ = try await client.get("/nowhere")
      _ = try await client.send("BREW", "/nowhere")
      let samples = try await Scrape(client).samples
      let duration = "relayrisk_http_request_duration_seconds"
      for (series, value) in [
        #"relayrisk_http_requests_total{method="GET",route="/v1/providers/{p}/score",status="200"}"#: 3,
        #"relayrisk_http_requests_total{method="HEAD",route="/v1/providers/{p}/score",status="200"}"#: 1,
        #"relayrisk_http_requests_total{method="GET",route="none",status="404"}"#: 1,
        #"relayrisk_http_requests_total{method="other",route="none",status="404"}"#: 1,
        #"relayrisk_http_requests_total{method="POST",route="/v1/probe-results",status="201"}"#: 1,
        #"\#(duration)_count{method="GET",route="/v1/providers/{p}/score",status_class="2xx"}"#: 3,
        #"\#(duration)_count{method="POST",route="/v1/probe-results",status_class="2xx"}"#: 4,
        #"\#(duration)_count{method="POST",route="/v1/probe-results",status_class="4xx"}"#: 2,
        #"\#(duration)_bucket{method="GET",route="none",status_class="4xx",le="+Inf"}"#: 1,
        #"relayrisk_probe_results_total{source="lab",disposition="accepted"}"#: 2,
        #"relayrisk_probe_results_total{source="lab",disposition="duplicate"}"#: 1,
        #"relayrisk_probe_results_total{source="lab",disposition="conflict"}"#: 1,
        #"relayrisk_probe_results_total{source="lab",disposition="rejected"}"#: 4,
        "relayrisk_intake_batch_results_sum": 4, "relayrisk_intake_batch_results_count": 4,
        "relayrisk_intake_batch_duration_seconds_count": 4, "relayrisk_intake_results_waiting": 0,
        "relayrisk_intake_batches_failed_total": 0,
        "relayrisk_providers": 1, "relayrisk_evidence_cells": 1, "relayrisk_ready": 1, "relayrisk_writes_possible": 1,
      ] as [String: Double] { #expect(samples[series] == value, "\(series) is \(samples[series] ?? .nan)") }
      // The second of three, and the third, are the first again to the byte.
      #expect(try #require(samples["relayrisk_http_answers_repeated_total"]) >= 1)
      #expect(try #require(samples["relayrisk_http_connections"]) >= 1)
      #expect(try #require(samples["relayrisk_http_connections_accepted_total"]) >= 1)
    }
  }

  @Test func theFormIsThatOfPrometheus() async throws {
    try await withRegisteredRelay { instance in
      for path in ["/v1/concerns", "/v1/scores", "/v1/providers/acme/score"] { _ = try await instance.client.get(path) }
      let scrape = try await Scrape(instance.client)
      for (name, kind) in scrape.kinds {
        #expect((kind == "counter") == name.hasSuffix("_total"), "\(name)")
        #expect(name.hasPrefix("relayrisk_") || name.hasPrefix("process_"))
        guard kind == "histogram" else { continue }
        let counts = scrape.samples.filter { $0.key.hasPrefix("\(name)_count") }
        #expect(!counts.isEmpty || name.contains("http"), "\(name)")
        for (series, count) in counts {
          let labels = series.dropFirst("\(name)_count".count).dropFirst().dropLast()
          let buckets = scrape.samples.filter { bucket, _ in
            bucket.hasPrefix("\(name)_bucket{\(labels)\(labels.isEmpty ? "" : ",")le=")
          }
          let sorted = buckets.map { ($0.key.contains("+Inf") ? .infinity : Self.bound($0.key), $0.value) }
            .sorted { $0.0 < $1.0 }.map(\.1)
          #expect(sorted.last == count && sorted == sorted.sorted(), "\(series): \(sorted)")
        }
      }
    }
  }

  private static func bound(_ series: String) -> Double {
    Double(series.components(separatedBy: "le=\"")[1].prefix { $0 != "\"" }) ?? .nan
  }

  @Test func theProcessDescribesItself() async throws {
    try await withInstance { instance in
      let before = try await Scrape(instance.client).samples
      let held = try (0..<20).map { _ in try #require(FileHandle(forReadingAtPath: "/dev/null")) }
      let after = try await Scrape(instance.client).samples
      #expect(after["process_resident_memory_bytes"]! > 1_000_000)
      #expect(after["process_virtual_memory_bytes"]! > after["process_resident_memory_bytes"]!)
      #expect(
        after["process_open_fds"]! >= Double(held.count) && after["process_max_fds"]! > after["process_open_fds"]!)
      #expect(after["process_cpu_seconds_total"]! > before["process_cpu_seconds_total"]!)
      // The kernel counts from the boot, in hundredths, and its clock and that of the day may be a little apart.
      let age = Date().timeIntervalSince1970 - after["process_start_time_seconds"]!
      #expect(age > -2 && age < ProcessInfo.processInfo.systemUptime + 2, "\(age)")
    }
  }

  @Test func anInstanceThatLagsBehindAnotherIsSeen() async throws {
    let name = try await TestPostgres.shared.value.makeDatabase()
    let first = try await TestInstance.start(on: name)
    try await registerRelay(with: first.client)
    let second = try await TestInstance.start(on: name, adminKey: first.adminKey)
    _ = try await first.client.post("/v1/probe-results", object: Posting.result(["source": "lab"]))
    let known = try #require(try await Scrape(first.client).samples["relayrisk_change_version_known"])
    // A key, a provider, a source and a result.
    #expect(known >= 4)
    for instance in [first, second] {
      try await eventually {
        let samples = try await Scrape(instance.client).samples
        return samples["relayrisk_change_version_known"] == known
          && samples["relayrisk_change_version_applied"] == known
      }
      await instance.stop()
    }
  }

  /// What is alarmed on and drawn is there; a renamed metric would otherwise be silent for ever.
  @Test func rulesAndDashboardNameMetricsThatAreServed() async throws {
    let top = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appendingPathComponent("../..").standardized
    try await withRegisteredRelay { instance in
      _ = try await instance.client.post("/v1/probe-results", object: Posting.result(["source": "lab"]))
      let scrape = try await Scrape(instance.client)
      let served = Set(scrape.samples.keys.map { String($0.prefix { $0 != "{" }) })
      for path in ["deploy/prometheus/relayrisk.rules.yml", "deploy/grafana/relayrisk.json"] {
        let text = try String(contentsOf: top.appendingPathComponent(path), encoding: .utf8)
        // Alone, or before a selector or a range: neither a label nor the name of an alert or a dashboard.
        let named = Set(text.matches(of: /\b(?:relayrisk|process)_[a-z_]+\b/).map { String($0.output) })
        #expect(named.count > 8, "\(path)")
        #expect(named.subtracting(served) == [], "\(path)")
      }
    }
  }

  @Test func theDashboardIsAWholeOfItsOwn() throws {
    let top = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appendingPathComponent("../..").standardized
    let data = try Data(contentsOf: top.appendingPathComponent("deploy/grafana/relayrisk.json"))
    let dashboard = JSON(try JSONSerialization.jsonObject(with: data))
    let panels = dashboard["panels"].array
    #expect(panels.count >= 10)
    #expect(Set(panels.compactMap { $0["id"].integer }).count == panels.count)
    for panel in panels where panel["type"].string != "row" {
      #expect(panel["title"].string?.isEmpty == false && panel["gridPos"]["w"].integer != nil)
      #expect(!panel["targets"].array.isEmpty)
      for target in panel["targets"].array { #expect(target["expr"].string?.contains("$instance") == true) }
    }
  }
}
