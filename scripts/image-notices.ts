import { dirname } from 'node:path'
import { foldersInImage } from './bill-of-materials.ts'
import { noticesOf } from './third-party-notices.ts'

// For deploy/Containerfile: most packages have their licence in node_modules, some have none.
process.stdout.write(noticesOf(foldersInImage(dirname(import.meta.dirname))))
