"""The tutorial's worked numbers and programs, its misprints, and the command that shows them.

"The tutorial" is, throughout this project, 《LLM 内核：管理大型语言模型的核心》 ("LLM kernel: the
core of managing large language models"). It explains embeddings, a small network, attention and
losses with worked numbers (section 3.3), and prints training programs (sections 2.4 and 4.2). The
suite's level ``document`` holds a backend to those numbers; every section that this package names
is one of the tutorial's.
"""
