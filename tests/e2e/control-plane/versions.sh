# The versions of the control plane, here and nowhere else. A change makes `make control-plane` build again.
KUBERNETES=1.37.2
HELM=4.3.1
# The last in which the commands are part of the main module, as the module proxy has it.
CERT_MANAGER=1.11.5
KWOK=0.8.0
