import Foundation
import TestHarness
import Testing
