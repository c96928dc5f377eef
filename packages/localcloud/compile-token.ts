import { writeFileSync } from 'node:fs'
import { compiledTokenFile, compileToken } from './src/token/compile.ts'

writeFileSync(compiledTokenFile, compileToken())
