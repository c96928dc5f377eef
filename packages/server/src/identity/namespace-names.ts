import { randomInt } from 'node:crypto'

const ADJECTIVES =
  'amber ample brave bright brisk calm candid clear clever cosy crisp dapper deft eager early fair fleet fond fresh gentle glad golden grand happy hardy honest humble jolly keen kind lively lucid lucky mellow merry mighty misty neat nimble noble novel olive plucky polite prime proud quick quiet rapid ready rosy sharp silver smooth snug solid spry steady sunny swift tidy trusty vivid warm wise witty'.split(
    ' ',
  )
const NOUNS =
  'acorn badger bamboo beacon birch bridge brook canyon cedar cloud comet coral crane delta dune ember falcon fern field finch fjord forest fox garden glacier grove harbor hazel heron hill island ivy juniper kestrel lagoon lake lantern lark maple marsh meadow moss oak ocean orchard otter owl pebble pine plum pond prairie quail raven reef ridge river robin sparrow spruce stone summit thistle tulip valley willow wren'.split(
    ' ',
  )

/** A name that is easy to say and tells nothing about its owner, such as `calm-otter-4711`. */
export function readableName(): string {
  return `${pick(ADJECTIVES)}-${pick(NOUNS)}-${randomInt(1000, 10_000)}`
}

function pick(words: readonly string[]): string {
  return words[randomInt(words.length)] ?? 'agent'
}
