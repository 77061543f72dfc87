/** `@peculiar/x509` finds its parts with decorators, whose metadata must be there before it is loaded. */
import 'reflect-metadata'

export * from '@peculiar/x509'
